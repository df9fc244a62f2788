"""What the build asks of a plugin's folder."""

import json
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

KIT = Path(__file__).parents[1]
ROLE = "from crossdock import Output, Record, Transformer\n"
PLUGIN = ROLE + "class Plugin(Transformer[None]):\n    def transform(self, record: Record, out: Output) -> None: ...\n"


class Test(unittest.TestCase):
    def plan(self, files: dict[str, str], *libraries: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(textwrap.dedent(text))
            command = [sys.executable, "-m", "crossdock._plan", "plugin", *libraries]
            environment = {"PYTHONPATH": str(KIT), "PYTHONDONTWRITEBYTECODE": "1"}
            return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    def made(self, files: dict[str, str], *libraries: str):
        done = self.plan(files, *libraries)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refused(self, said: str, files: dict[str, str], *libraries: str) -> None:
        done = self.plan(files, *libraries)
        self.assertEqual(done.returncode, 1)
        self.assertIn(said, done.stderr)

    def test_what_a_plugin_is_made_of(self) -> None:
        files = {
            "plugin.py": PLUGIN + "import own, json\nfrom package import inner\n",
            "own.py": "def later():\n    from crossdock import http\n    import library\n",
            "package/__init__.py": "",
            "package/inner.py": "import crossdock\nx = crossdock.log\n",
            "package/other.py": "",
            "tests/test_plugin.py": "",
            "unused.py": "",
            "lib/library/__init__.py": "",
        }
        plan = self.made(files, "lib")
        own = ["library/__init__.py", "own.py", "package/__init__.py", "package/inner.py", "package/other.py", "plugin.py"]
        self.assertEqual(list(plan["files"]), own)
        self.assertEqual((plan["role"], plan["abilities"], plan["uses"]), ("transformer", [], ["http", "log"]))
        self.assertFalse(plan["reads_files"])

    def test_what_a_destination_can_do(self) -> None:
        plugin = """\
            from crossdock import Applied, Compensate, Destination, Probe, want_read_dir
            class _Base(Destination[None]):
                pass
            class Plugin(_Base, Compensate, Probe):
                wants = [want_read_dir("x")]
                def write(self, record): return Applied()
                def compensate(self, record): ...
                def probe(self, record): return Applied()
            """
        plan = self.made({"plugin.py": plugin})
        self.assertEqual((plan["role"], plan["abilities"]), ("destination", ["compensate", "probe"]))
        self.assertEqual((plan["reads_files"], plan["uses"]), (True, ["control"]))

    def test_what_is_no_plugin_is_told(self) -> None:
        self.refused("there is no module plugin", {"other.py": ""})
        self.refused("it has none", {"plugin.py": "x = 1"})
        self.refused("it has Plugin, Second", {"plugin.py": PLUGIN + PLUGIN.replace("Plugin", "Second")})
        self.refused("Plugin has no `transform`", {"plugin.py": ROLE + "class Plugin(Transformer[None]): pass\n"})
        neither = "from crossdock import Destination\nclass Plugin(Destination[None]): pass\n"
        self.refused("neither `write` nor `write_batch`", {"plugin.py": neither})
        self.refused('File "plugin.py", line 1', {"plugin.py": "raise ValueError('bad')"})
        self.refused("SyntaxError", {"plugin.py": "def ("})
        settings = "from dataclasses import dataclass\n@dataclass\nclass S:\n    x: bytes\n"
        self.refused("has no JSON Schema", {"plugin.py": settings + PLUGIN.replace("None]", "S]")})

    def test_native_libraries_are_told(self) -> None:
        files = {"plugin.py": PLUGIN + "import fast\n", "lib/fast/__init__.py": "", "lib/fast/_c.so": ""}
        self.refused("takes libraries in pure Python only", files, "lib")


if __name__ == "__main__":
    unittest.main()
