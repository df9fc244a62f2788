"""Secrets by name. A plugin works with handles; the host puts the value on the wire."""

from __future__ import annotations

from dataclasses import dataclass

from . import _host
from .failure import CallError, ErrorKind, Failure

__all__ = ["Secret", "SecretError", "open"]

_REASONS = {
    "not-granted": "the route does not grant this secret to this plugin",
    "not-available": "the project has no value for this secret",
    "not-revealed": "the route lets this plugin use the secret, not see it",
}


class SecretError(CallError):
    """A secret cannot be used, or not be seen. ``reason`` is ``not-granted``, ``not-available`` or ``not-revealed``."""

    def __init__(self, name: str, reason: str) -> None:
        self.reason = reason
        kind = ErrorKind.UNAVAILABLE if reason == "not-available" else ErrorKind.NOT_GRANTED
        why = _REASONS.get(reason, reason)
        super().__init__(kind, Failure(f"secret-{reason}", f"the secret {name} cannot be used: {why}"))


@dataclass(frozen=True, slots=True)
class Secret:
    """A handle for a secret. It holds no value and is valid for the life of the instance."""

    name: str
    handle: int

    def reveal(self) -> bytes:
        """The value itself. Needs the grant ``reveal``; most plugins should not ask for it."""
        value = _host.current().secret_reveal(self.handle)
        if isinstance(value, str):
            raise SecretError(self.name, value)
        return value


def open(name: str) -> Secret:
    """A handle for the secret of this name. Cheap; may be called often. Raises `SecretError`."""
    handle = _host.current().secret_open(name)
    if isinstance(handle, str):
        raise SecretError(name, handle)
    return Secret(name, handle)
