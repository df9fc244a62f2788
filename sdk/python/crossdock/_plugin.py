"""The plugin class of a module, and what it exports."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from .roles.base import Plugin
from .roles.destination import Destination
from .roles.probe import Probe
from .roles.source import Source
from .roles.transformer import Transformer
from .roles.undo import Compensate

ROLES: dict[str, type[Plugin[Any]]] = {"source": Source, "transformer": Transformer, "destination": Destination}


class NoPlugin(Exception):
    """The module has no plugin, or several, or one that is not whole."""


def find(module: ModuleType) -> type[Plugin[Any]]:
    """The one class with a role that the module defines."""
    own = (it for it in vars(module).values() if isinstance(it, type) and it.__module__ == module.__name__)
    found = [it for it in dict.fromkeys(own) if issubclass(it, Plugin) and not it.__name__.startswith("_")]
    # A class that others are made from is not the plugin.
    found = [it for it in found if not any(it is not other and issubclass(other, it) for other in found)]
    if len(found) != 1:
        names = ", ".join(it.__name__ for it in found) or "none"
        raise NoPlugin(
            f"the module {module.__name__} must have one class that is a Source, a Transformer or a Destination; it has {names}"
        )
    (plugin,) = found
    role_of(plugin)
    missing = sorted(getattr(plugin, "__abstractmethods__", ()))
    if missing:
        raise NoPlugin(f"{plugin.__name__} has no {' and no '.join(f'`{name}`' for name in missing)}")
    if issubclass(plugin, Destination) and plugin.write is Destination.write:
        if plugin.write_batch is Destination.write_batch:
            raise NoPlugin(f"{plugin.__name__} has neither `write` nor `write_batch`")
    if not issubclass(plugin, Destination) and issubclass(plugin, (Compensate, Probe)):
        raise NoPlugin(f"{plugin.__name__} is no Destination; only they can be Compensate or Probe")
    return plugin


def role_of(plugin: type[Plugin[Any]]) -> str:
    """Its role, in the words of the contract."""
    roles = [name for name, role in ROLES.items() if issubclass(plugin, role)]
    if len(roles) != 1:
        raise NoPlugin(f"{plugin.__name__} has the roles {' and '.join(roles) or 'none'}; a plugin has one")
    return roles[0]


def abilities_of(plugin: type[Plugin[Any]]) -> list[str]:
    """What a destination can do beside writing."""
    known = {"compensate": Compensate, "probe": Probe}
    return [name for name, ability in known.items() if issubclass(plugin, ability)]


def summary_of(plugin: type[Plugin[Any]], told: str) -> str:
    """One line for people: the project's description, or else the first line of what is written at the class."""
    return told or (inspect.cleandoc(plugin.__doc__ or "").splitlines() or [""])[0]
