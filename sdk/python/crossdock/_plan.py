"""What `crossdock plugin build` asks before it puts a plugin together: run in the plugin's folder, it answers on stdout.

``python3 -m crossdock._plan ENTRY [LIBRARIES]`` imports the plugin as its tests do, so that a mistake shows here with its
file and line, and gathers the modules that it is made of.
"""

from __future__ import annotations

import ast
import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from . import _plugin
from .roles.base import schema_of

_HOST = ("control", "http", "log", "metrics", "secrets", "state")


def _end(message: str) -> NoReturn:
    sys.stderr.write(message.rstrip() + "\n")
    raise SystemExit(1)


class _Gathered:
    """The modules of a plugin, followed from import to import."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self.files: dict[str, str] = {}
        self.uses: set[str] = set()
        self._done: set[str] = set()

    def add(self, name: str) -> bool:
        """Adds a module or package by its first name, and what it imports. Says whether it is the plugin's own."""
        if name in self._done:
            return True
        for folder in self.folders:
            module, package = folder / f"{name}.py", folder / name
            if module.is_file():
                self._done.add(name)
                self._add_file(folder, module)
                return True
            if (package / "__init__.py").is_file():
                self._done.add(name)
                for native in sorted([*package.rglob("*.so"), *package.rglob("*.pyd")]):
                    _end(
                        f"the library {name} holds {native.name}, which is made for this machine: a plugin runs in a sandbox "
                        "and takes libraries in pure Python only"
                    )
                for file in sorted(package.rglob("*.py")):
                    self._add_file(folder, file)
                return True
        return False

    def _add_file(self, folder: Path, file: Path) -> None:
        text = file.read_text(encoding="utf-8")
        path = file.relative_to(folder).as_posix()
        self.files[path] = text
        for node in ast.walk(ast.parse(text, path)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._imported(alias.name)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                self._imported(node.module)
                for alias in node.names:
                    self._imported(f"{node.module}.{alias.name}")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "crossdock":
                self._imported(f"crossdock.{node.attr}")

    def _imported(self, name: str) -> None:
        first, *rest = name.split(".")
        if first == "crossdock":
            self.uses.update(rest[:1])
        else:
            self.add(first)


def plan(entry: str, libraries: list[str]) -> dict[str, object]:
    """What the plugin is, and what it is made of."""
    here = Path.cwd()
    folders = [here, *map(Path, libraries)]
    sys.path[:0] = [str(folder) for folder in folders]
    first = entry.split(".")[0]
    gathered = _Gathered(folders)
    try:
        if not gathered.add(first):
            _end(f"there is no module {first} ({first}.py, or a folder {first} with __init__.py) in {here.name}")
        kind = _plugin.find(importlib.import_module(entry))
        schema_of(kind)
    except _plugin.NoPlugin as error:
        _end(str(error))
    except (Exception, SyntaxError):
        # Without our own frames in front.
        lines = traceback.format_exc().splitlines(keepends=True)
        own = next((at for at, line in enumerate(lines) if f'"{here}' in line), 1)
        _end("Traceback (most recent call last):\n" + "".join(lines[own:]).replace(f"{here}/", ""))
    uses = gathered.uses & set(_HOST)
    if "rest" in gathered.uses:
        uses.add("http")
    if _plugin.role_of(kind) == "destination":
        # The loop around `write` looks at the clock.
        uses.add("control")
    return {
        "role": _plugin.role_of(kind),
        "abilities": _plugin.abilities_of(kind),
        "reads_files": any(want.kind in ("read-dir", "write-dir") for want in kind.wants),
        "uses": sorted(uses),
        "files": dict(sorted(gathered.files.items())),
    }


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    json.dump(plan(sys.argv[1], sys.argv[2:]), sys.stdout, sort_keys=True)
