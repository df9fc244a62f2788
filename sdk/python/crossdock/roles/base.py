"""What all roles share."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from .. import shape
from ..describe import Want
from ..failure import CallError, ErrorKind, Failure, NotSuccessful, Reject, Retry, Unauthorized, Unknown, Untouched
from ..http import HttpError
from ..state import StateError

S = TypeVar("S")

OK, UNCHANGED, DROPPED, REJECTED, RETRYABLE, UNAUTHORIZED, UNKNOWN, UNTOUCHED = range(8)


class Plugin(Generic[S]):
    """A plugin with its settings: a dataclass, named between the brackets of the role.

    ``class Orders(Transformer[Settings])`` has ``self.settings``; without brackets there are none. An instance lives for
    many records, but the host makes a new one whenever it likes: what must survive belongs into a checkpoint, a receipt
    or `state`.
    """

    wants: ClassVar[list[Want]] = []
    """What it wants to be granted. Nothing is granted by itself."""
    max_batch: ClassVar[int] = 1000
    """The most records it takes, or gives, in one batch: 1 to 10,000."""

    settings: S

    @typing.final
    def __init__(self, settings: S) -> None:
        self.settings = settings
        self.start()

    def start(self) -> None:
        """Called once in each instance, with the settings in place. Must not change anything outside.

        Raise `CallError` for a mistake in the route, for example ``CallError.invalid_settings("…")``.
        """

    def check(self) -> None:
        """Whether the other system can be used now: reachable, credentials accepted. Raise `CallError` if not.

        Must not change anything there.
        """

    def close(self) -> None:
        """Called before the instance is thrown away in good order. It may never be called."""


def settings_of(plugin: type[Plugin[Any]]) -> Any:
    """The class of a plugin's settings; ``None`` if it has none."""
    for base in (base for known in plugin.__mro__ for base in known.__dict__.get("__orig_bases__", ())):
        origin = typing.get_origin(base)
        if isinstance(origin, type) and issubclass(origin, Plugin):
            (kind,) = typing.get_args(base)
            if not isinstance(kind, TypeVar):
                return None if kind is type(None) else kind
    return None


def schema_of(plugin: type[Plugin[Any]]) -> dict[str, Any]:
    """JSON Schema of a plugin's settings."""
    kind = settings_of(plugin)
    empty = {"type": "object", "properties": {}, "additionalProperties": False}
    said = empty if kind is None else shape.schema(kind)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **said}


def configured(plugin: type[Plugin[Any]], settings: Any) -> Plugin[Any]:
    """A plugin with these settings, as JSON gave them. Raises `CallError` if they do not fit."""
    kind = settings_of(plugin)
    if kind is None:
        if settings:
            raise CallError.invalid_settings("the plugin has no settings")
        return plugin(None)
    try:
        typed = shape.read(kind, settings, strict=True)
    except shape.Misfit as misfit:
        failure = Failure("invalid-settings", f"the settings do not fit: {misfit.message}", pointer=misfit.pointer)
        raise CallError.invalid_settings(failure) from None
    return plugin(typed)


def meant(error: Exception) -> NotSuccessful | Untouched | None:
    """What an exception says of a record, if it says anything. All others are mistakes in the plugin."""
    if isinstance(error, (NotSuccessful, Untouched)):
        return error
    if isinstance(error, HttpError):
        if error.may_have_been_sent:
            return Unknown(error.failure)
        return Retry(error.failure) if error.reason == "not-connected" else Reject(error.failure)
    if isinstance(error, StateError):
        return Reject(error.code, str(error))
    if isinstance(error, CallError):
        kinds = {ErrorKind.UNAVAILABLE: Retry, ErrorKind.UNAUTHORIZED: Unauthorized, ErrorKind.NOT_GRANTED: Unauthorized}
        return kinds.get(error.kind, Reject)(error.failure)
    return None


class Codes:
    """One code a record, and the failures that go with some of them."""

    __slots__ = ("codes", "failures")

    OPEN = 255
    """Ours: nothing was said yet."""

    def __init__(self, records: int) -> None:
        self.codes = bytearray([self.OPEN]) * records
        self.failures: dict[int, Failure] = {}

    def set(self, index: int, code: int, failure: Failure | None = None) -> None:
        """Says what became of a record; a later word replaces an earlier one."""
        self.codes[index] = code
        self.failures.pop(index, None)
        if failure is not None:
            self.failures[index] = failure

    def raised(self, index: int, error: NotSuccessful | Untouched) -> None:
        """The same, as it was raised."""
        if isinstance(error, Untouched):
            self.set(index, UNTOUCHED)
        else:
            self.set(index, error.outcome_code, error.failure)

    def fill(self, code: int, failure: Callable[[], Failure] | None = None) -> None:
        """Says this of every record of which nothing was said."""
        for index, known in enumerate(self.codes):
            if known == self.OPEN:
                self.set(index, code, None if failure is None else failure())

    def finish(self) -> None:
        """A record of which nothing was said is unknown: whether something was done for it, nobody can tell."""
        self.fill(UNKNOWN, lambda: Failure("no-outcome", "the plugin did not say what became of the record"))
