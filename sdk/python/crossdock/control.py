"""The clock, and how much time is left."""

from . import _host

__all__ = ["cancelled", "now_ms", "remaining_ms"]


def now_ms() -> int:
    """Milliseconds since 1970-01-01T00:00:00Z on the host's clock."""
    return _host.current().now_ms()


def remaining_ms() -> int:
    """Milliseconds that are left of the running call before it is interrupted.

    An interrupted write leaves its records indeterminate: a destination should stop in time.
    """
    return _host.current().remaining_ms()


def cancelled() -> bool:
    """Whether the run was asked to stop. A plugin that sees it should return early."""
    return _host.current().cancelled()
