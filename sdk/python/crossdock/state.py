"""Durable key-value pairs, private to this plugin at this step of this route.

Writes become durable in the same transaction as the outcome of the call that made them, and are forgotten if the call
fails. Reads see the plugin's own writes.
"""

from . import _host
from ._column import as_bytes

__all__ = ["StateError", "delete", "get", "put"]


class StateError(Exception):
    """A value was not kept: ``code`` is ``state-too-large`` or ``state-quota-reached``."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(
            "a key of the state is 1 to 256 bytes, a value at most 64 KiB"
            if code == "state-too-large"
            else "all values of the state together have at most 1 MiB"
        )


def get(key: str) -> bytes | None:
    """The value of a key, if it has one."""
    return _host.current().state_get(key)


def put(key: str, value: bytes | str) -> None:
    """Sets a key. Raises `StateError` when a limit would be passed."""
    refused = _host.current().state_set(key, as_bytes(value))
    if refused is not None:
        raise StateError(refused)


def delete(key: str) -> None:
    """Removes a key; removing one that is not there is fine."""
    _host.current().state_delete(key)
