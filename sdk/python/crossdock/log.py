"""Messages for the person who runs the route.

They go to the host's trace output with route, step and plugin attached. Beyond 1,000 messages or 256 KiB a call the rest
is counted and left out; one message keeps 4 KiB.
"""

from . import _host

__all__ = ["debug", "error", "info", "trace", "warn"]


def trace(message: str) -> None:
    """Every small step."""
    _host.current().log("trace", message)


def debug(message: str) -> None:
    """For those who look for a mistake."""
    _host.current().log("debug", message)


def info(message: str) -> None:
    """Worth knowing."""
    _host.current().log("info", message)


def warn(message: str) -> None:
    """Somebody should look at it some day."""
    _host.current().log("warn", message)


def error(message: str) -> None:
    """Somebody should look at it now."""
    _host.current().log("error", message)
