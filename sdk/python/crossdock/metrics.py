"""Numbers the plugin wants to be seen beside those that the host keeps itself.

Names are 1 to 64 of ``a-z 0-9 _``; at most 64 names a plugin, further ones are counted and left out.
"""

from . import _host

__all__ = ["count", "gauge"]


def count(name: str, delta: int = 1) -> None:
    """Adds to a counter."""
    _host.current().count(name, delta)


def gauge(name: str, value: float) -> None:
    """Sets a gauge to a value."""
    _host.current().gauge(name, value)
