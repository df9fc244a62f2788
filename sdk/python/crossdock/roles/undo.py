"""Destinations that can undo."""

from __future__ import annotations

import json as _json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, overload

from .. import control, shape
from .._column import Column
from ..failure import Failure, Reject
from .base import OK, UNCHANGED, UNTOUCHED, Codes, meant

__all__ = ["Compensate", "NothingToUndo", "UndoBatch", "UndoRecord"]

T = TypeVar("T")


class NothingToUndo(Exception):
    """There was nothing left to undo. Raise it in `Compensate.compensate`, or just return."""


class Compensate(ABC):
    """A destination that can undo applied records: ``class Ledger(Destination[Settings], Compensate)``."""

    undo_reserve_ms: ClassVar[int] = 5_000
    """What undoing one record may take at worst: no further one is begun when less is left."""

    def compensates(self) -> bool:
        """Whether applied records can be undone with these settings."""
        return True

    @abstractmethod
    def compensate(self, record: UndoRecord) -> None:
        """Undoes one record, and returns when that is done.

        Called when a rollback has begun, possibly more than once for the same record, possibly in another instance and long
        after the write. Undoing twice must be harmless. Raise as in `Destination.write`, or `NothingToUndo`.
        """

    def compensate_batch(self, batch: UndoBatch, codes: Codes) -> None:
        """Undoes a batch, newest first: one record after the other, until there is no time left."""
        for record in batch:
            if control.remaining_ms() < self.undo_reserve_ms or control.cancelled():
                break
            try:
                self.compensate(record)
                codes.set(record.index, OK)
            except NothingToUndo:
                codes.set(record.index, UNCHANGED)
            except Exception as error:
                said = meant(error)
                if said is None:
                    raise
                codes.raised(record.index, said)
        codes.fill(UNTOUCHED)


class UndoRecord:
    """One applied record to undo."""

    __slots__ = ("_batch", "index")

    def __init__(self, batch: UndoBatch, index: int) -> None:
        self._batch = batch
        self.index = index

    @property
    def id(self) -> str:
        """The record's stable identity at its origin."""
        return self._batch.ids.text(self.index)

    @property
    def key(self) -> str:
        """The idempotency key under which it was written."""
        return self._batch.keys.text(self.index)

    @property
    def target_id(self) -> str:
        """The id that the other system gave it; empty if none."""
        return self._batch.target_ids.text(self.index) if len(self._batch.target_ids) else ""

    @property
    def receipt(self) -> bytes:
        """What the destination left behind to undo it; empty if nothing."""
        return self._batch.receipts.value(self.index) if len(self._batch.receipts) else b""

    @overload
    def receipt_json(self) -> Any: ...
    @overload
    def receipt_json(self, kind: type[T]) -> T: ...

    def receipt_json(self, kind: type[Any] | None = None) -> Any:
        """The receipt as JSON: as plain values, or as the dataclass that it was. One that is neither is a rejection."""
        try:
            value = _json.loads(self.receipt)
            return value if kind is None else shape.read(kind, value, strict=False)
        except (ValueError, shape.Misfit) as error:
            raise Reject("bad-receipt", f"the receipt cannot be read: {error}") from None

    @property
    def handle(self) -> int:
        """The host's name for the record in this batch."""
        return self._batch.handles[self.index]


@dataclass(slots=True)
class UndoBatch:
    """Records to undo, newest first."""

    handles: Sequence[int]
    ids: Column
    keys: Column
    target_ids: Column
    receipts: Column

    def __len__(self) -> int:
        return len(self.handles)

    def __iter__(self) -> Iterator[UndoRecord]:
        for index in range(len(self)):
            yield UndoRecord(self, index)


@dataclass(slots=True)
class UndoneBatch:
    """The answer for a batch, as it crosses the boundary."""

    codes: bytes
    failures: dict[int, Failure]


def compensate(plugin: Compensate, batch: UndoBatch) -> UndoneBatch:
    """Undoes one batch."""
    codes = Codes(len(batch))
    plugin.compensate_batch(batch, codes)
    codes.finish()
    return UndoneBatch(bytes(codes.codes), codes.failures)
