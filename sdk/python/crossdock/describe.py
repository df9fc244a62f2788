"""What a plugin says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Atomicity", "Idempotency", "Want", "want_http", "want_read_dir", "want_secret", "want_write_dir"]


@dataclass(frozen=True, slots=True)
class Want:
    """One thing that the plugin wants to be granted; the text says what for. The route grants it, or does not."""

    kind: str
    what_for: str


def want_read_dir(what_for: str) -> Want:
    """It wants to read a directory. Which one, and under which name, the route says."""
    return Want("read-dir", what_for)


def want_write_dir(what_for: str) -> Want:
    """It wants to write to a directory."""
    return Want("write-dir", what_for)


def want_http(where_to: str) -> Want:
    """It wants to make HTTP requests; the text says where to, for people."""
    return Want("http", where_to)


def want_secret(what_for: str) -> Want:
    """It wants a secret that the settings name."""
    return Want("secret", what_for)


class Idempotency(Enum):
    """What helps a destination to take effect once."""

    NATIVE_KEY = "native-key"
    """The other system recognises the idempotency key that comes with each record."""
    UPSERT = "upsert"
    """Writing the same record again changes nothing."""
    PROBE = "probe"
    """It can be asked afterwards whether a record was applied: the destination is a `Probe` too."""
    NONE = "none"
    """Nothing: a write whose answer was lost must be settled by a person."""


class Atomicity(Enum):
    """What happens when a write stops in the middle."""

    ATOMIC = "atomic"
    """All records of a batch take effect, or none."""
    PER_RECORD = "per-record"
    """Each record takes effect whole, or not at all."""
    BEST_EFFORT = "best-effort"
    """A record may have taken effect in part."""
