"""Why a record, or a whole call, did not succeed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

__all__ = [
    "CallError",
    "ErrorKind",
    "Failure",
    "NotSuccessful",
    "Reject",
    "Retry",
    "Unauthorized",
    "Unknown",
    "Untouched",
]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something did not succeed: written for the person who has to act.

    The code is stable and machine-readable, 1 to 64 of ``a-z 0-9 - .``; people filter and count by it, so it must not
    contain values. The host keeps 1 KiB of the message and 8 KiB of the detail.
    """

    code: str
    """For example ``not-a-number`` or ``http-422``."""
    message: str
    """One line for people, without secrets."""
    detail: str | None = None
    """What the other system answered, or other evidence."""
    pointer: str | None = None
    """RFC 6901 pointer to the field to blame, within the payload as it was given."""
    retry_after_ms: int | None = None
    """When another attempt may be useful, from now. Only with the outcomes retryable and unauthorized."""

    def __str__(self) -> str:
        at = f" (at {self.pointer})" if self.pointer is not None else ""
        return f"{self.code}: {self.message}{at}"


class NotSuccessful(Exception):
    """What became of a record that was not successful, raised where it is found. Raise one of its kinds."""

    outcome_code = 3

    def __init__(
        self,
        code: str | Failure,
        message: str = "",
        *,
        detail: str | None = None,
        pointer: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        if isinstance(code, Failure):
            self.failure = code
        else:
            self.failure = Failure(code, message, detail, pointer, retry_after_ms)
        super().__init__(str(self.failure))


class Reject(NotSuccessful):
    """The record will never be accepted as it is."""

    outcome_code = 3


class Retry(NotSuccessful):
    """Something outside the record was in the way: it certainly took no effect, and may later."""

    outcome_code = 4


class Unauthorized(NotSuccessful):
    """The record certainly took no effect, because credentials were refused. Not for transformers."""

    outcome_code = 5


class Unknown(NotSuccessful):
    """It was sent and no answer came: it may have taken effect. Not for transformers."""

    outcome_code = 6


class Untouched(Exception):
    """Nothing was sent for the record. It is given again later, and no attempt is counted. For destinations."""


class ErrorKind(Enum):
    """What kind of "no" a whole call got."""

    INVALID_SETTINGS = "invalid-settings"
    """The settings do not make sense; only a person can mend them."""
    UNAUTHORIZED = "unauthorized"
    """The other system refused the credentials."""
    UNAVAILABLE = "unavailable"
    """The other system, or something else outside the plugin, cannot be used now."""
    CHECKPOINT_REFUSED = "checkpoint-refused"
    """The checkpoint does not fit what the source finds. Only a person can decide what to do."""
    NOT_GRANTED = "not-granted"
    """A grant is missing: a directory, an address or a secret that the plugin needs."""
    INTERNAL = "internal"
    """Anything else."""


class CallError(Exception):
    """Why a whole call could not be answered.

    From a write of a whole batch it is a promise that no record of it took effect. Without a code the failure gets the
    name of its kind as code: ``CallError.unavailable("the server does not answer")``.
    """

    def __init__(self, kind: ErrorKind, failure: Failure | str) -> None:
        self.kind = kind
        self.failure = Failure(kind.value, failure) if isinstance(failure, str) else failure
        super().__init__(str(self.failure))

    @classmethod
    def invalid_settings(cls, failure: Failure | str) -> CallError:
        """The settings do not make sense; only a person can mend them."""
        return cls(ErrorKind.INVALID_SETTINGS, failure)

    @classmethod
    def unauthorized(cls, failure: Failure | str) -> CallError:
        """The other system refused the credentials."""
        return cls(ErrorKind.UNAUTHORIZED, failure)

    @classmethod
    def unavailable(cls, failure: Failure | str) -> CallError:
        """The other system, or something else outside the plugin, cannot be used now."""
        return cls(ErrorKind.UNAVAILABLE, failure)

    @classmethod
    def checkpoint_refused(cls, failure: Failure | str) -> CallError:
        """The checkpoint does not fit what the source finds, for example because a file has changed since."""
        return cls(ErrorKind.CHECKPOINT_REFUSED, failure)

    @classmethod
    def not_granted(cls, failure: Failure | str) -> CallError:
        """A grant is missing: a directory, an address or a secret that the plugin needs."""
        return cls(ErrorKind.NOT_GRANTED, failure)

    @classmethod
    def internal(cls, failure: Failure | str) -> CallError:
        """Anything else."""
        return cls(ErrorKind.INTERNAL, failure)


def at(failure: Failure, pointer: str) -> Failure:
    """The same failure with a pointer in front of the one that it has."""
    return replace(failure, pointer=pointer + (failure.pointer or ""))
