"""Records and batches as a plugin is given them."""

from __future__ import annotations

import json as _json
from collections.abc import Iterator
from typing import Any, TypeVar, overload

from . import shape
from ._column import Column, PackedBatch, none
from .failure import Failure, Reject

__all__ = ["Batch", "Record"]

T = TypeVar("T")
# Within the class `bytes` is the property.
_Bytes = bytes


class Record:
    """One record of a batch."""

    __slots__ = ("_batch", "index")

    def __init__(self, batch: Batch, index: int) -> None:
        self._batch = batch
        self.index = index
        """The record's position in its batch, counted from 0."""

    @property
    def id(self) -> str:
        """The record's stable identity at its origin."""
        return self._batch._packed.ids.text(self.index)

    @property
    def bytes(self) -> _Bytes:
        """The record's content: whatever the step before made of it, JSON by custom."""
        return self._batch._packed.payloads.value(self.index)

    @property
    def text(self) -> str:
        """The content as text. What is not UTF-8 is a rejection with the code ``not-utf-8``."""
        try:
            return str(self.bytes, "utf-8")
        except UnicodeDecodeError as error:
            message = f"the payload is not text: byte {error.start} is not UTF-8"
            raise Reject("not-utf-8", message) from None

    @overload
    def json(self) -> Any: ...
    @overload
    def json(self, kind: type[T]) -> T: ...

    def json(self, kind: type[Any] | None = None) -> Any:
        """The content as JSON: as plain values, or as a dataclass whose type hints it has to fit.

        What is no JSON is a rejection with the code ``not-json``, what has another shape one with ``unexpected-json``
        and a pointer to the field to blame. Members that the dataclass does not name are passed over.
        """
        try:
            value = _json.loads(self.bytes)
        except (ValueError, RecursionError) as error:
            raise Reject("not-json", f"the payload is not JSON: {error}") from None
        if kind is None:
            return value
        try:
            return shape.read(kind, value, strict=False)
        except shape.Misfit as misfit:
            raise Reject("unexpected-json", misfit.message, pointer=misfit.pointer) from None

    def attribute(self, name: str) -> str | None:
        """A further value of the record, for example ``steps.reserve.target_id``, if it has that one."""
        value = self.attribute_bytes(name)
        return None if value is None else str(value, "utf-8", "replace")

    def attribute_bytes(self, name: str) -> _Bytes | None:
        """The same as bytes."""
        for attribute in self._batch._packed.attributes:
            if attribute.name == name:
                return attribute.values.value(self.index) or None
        return None

    @property
    def attributes(self) -> dict[str, str]:
        """All further values of the record."""
        values = ((it.name, it.values.text(self.index)) for it in self._batch._packed.attributes)
        return {name: value for name, value in values if value}

    @property
    def key(self) -> str:
        """The idempotency key, 32 hexadecimal digits: the same for every attempt to write this record at this step,
        another one after a person has changed its content. Empty in transformers."""
        keys = self._batch._keys
        return keys.text(self.index) if len(keys) else ""

    @property
    def handle(self) -> int:
        """The host's name for the record in this batch. Without meaning beyond it."""
        return self._batch._packed.handles[self.index]


class Batch:
    """Records handed over together: at least one."""

    __slots__ = ("_keys", "_packed")

    def __init__(self, packed: PackedBatch, keys: Column | None = None) -> None:
        self._packed = packed
        self._keys = none() if keys is None else keys

    def __len__(self) -> int:
        return len(self._packed.handles)

    def __iter__(self) -> Iterator[Record]:
        for index in range(len(self)):
            yield Record(self, index)

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Record(self, index)


def not_json(error: Exception) -> Failure:
    """The failure of an output that cannot be written as JSON."""
    return Failure("not-json", f"the output cannot be written as JSON: {error}")
