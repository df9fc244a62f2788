"""Destinations."""

from __future__ import annotations

import json as _json
from abc import ABC
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from .. import control, shape
from .._column import Column, PackedBatch, as_bytes, pack_sparse
from ..describe import Atomicity, Idempotency
from ..failure import Failure, NotSuccessful, Untouched
from ..record import Batch, Record
from .base import OK, UNCHANGED, UNTOUCHED, Codes, Plugin, S, meant

__all__ = ["Answers", "Applied", "Destination", "Unchanged", "Written"]


@dataclass(frozen=True, slots=True)
class Applied:
    """The record was applied.

    ``target_id`` is the id that the other system gave it, at most 512 bytes. ``receipt`` is what is needed to undo it, even
    in a fresh instance, days later, at most 16 KiB: bytes, text, or anything that is written as JSON, a dataclass too.
    """

    target_id: str = ""
    receipt: Any = b""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The record was already there as it should be."""

    target_id: str = ""
    receipt: Any = b""


Written: TypeAlias = Applied | Unchanged


class Destination(Plugin[S], ABC):
    """Writes records to another system: implement `write`, or `write_batch` if many can be written at once."""

    idempotency: Idempotency = Idempotency.NONE
    """What helps it to take effect once. The host relies on it when it decides whether to try again."""
    atomicity: Atomicity = Atomicity.BEST_EFFORT
    """What happens when a write stops in the middle."""
    reserve_ms: ClassVar[int] = 5_000
    """What writing one record may take at worst: `write` is called for no further record when less is left."""

    def write(self, record: Record) -> Written:
        """Writes one record. The loop around it keeps the order, and stops in time.

        Raise `Reject`, `Retry`, `Unauthorized`, `Unknown` or `Untouched` for what was not applied. What `crossdock.http`
        raises is understood. Any other exception is a mistake in the plugin: nobody knows then how far it got.
        """
        raise NotImplementedError("a destination has `write` or `write_batch`")

    def write_batch(self, batch: Batch, answers: Answers) -> None:
        """Writes a batch: unless a plugin has its own way, one record after the other.

        One that writes many at once answers with ``answers.set``, and must itself stop behind the first failure if
        ``answers.stop_at_first_failure``, and when ``control.remaining_ms()`` gets short. A `CallError` is a promise that no
        record of the batch took effect.
        """
        for record in batch:
            if control.remaining_ms() < self.reserve_ms or control.cancelled():
                break
            answers.set(record, self.write, record)
            if answers.stop_at_first_failure and not answers.succeeded(record):
                break
        answers.leave_rest_untouched()


def receipt_bytes(receipt: Any) -> bytes:
    """A receipt as it is kept: bytes and text as they are, anything else as JSON."""
    if isinstance(receipt, (bytes, bytearray, memoryview, str)):
        return as_bytes(receipt)
    return _json.dumps(shape.plain(receipt), ensure_ascii=False, separators=(",", ":")).encode()


class Answers:
    """What became of the records of a batch, to be filled by the destination.

    A record of which nothing was said is answered as unknown, because nobody can tell whether something was done for it.
    """

    def __init__(self, batch: Batch, stop_at_first_failure: bool) -> None:
        self.stop_at_first_failure = stop_at_first_failure
        """Whether later records must not be touched once one is not applied."""
        self._codes = Codes(len(batch))
        self._target_ids: dict[int, bytes] = {}
        self._receipts: dict[int, bytes] = {}

    def set(self, record: Record, written: Any, *arguments: Any) -> None:
        """Says what became of a record; a later word replaces an earlier one.

        ``written`` is `Applied`, `Unchanged`, an exception such as ``Reject("…", "…")``, or a function that returns or
        raises one of them.
        """
        if callable(written) and not isinstance(written, type):
            try:
                written = written(*arguments)
            except Exception as error:
                said = meant(error)
                if said is None:
                    raise
                written = said
        index = record.index
        self._target_ids.pop(index, None)
        self._receipts.pop(index, None)
        if isinstance(written, (Applied, Unchanged)):
            self._codes.set(index, OK if isinstance(written, Applied) else UNCHANGED)
            if written.target_id:
                self._target_ids[index] = written.target_id.encode()
            if written.receipt != b"":
                self._receipts[index] = receipt_bytes(written.receipt)
        elif isinstance(written, (NotSuccessful, Untouched)):
            self._codes.raised(index, written)
        else:
            raise TypeError(f"a record is Applied, Unchanged, or one of the exceptions for it, not {written!r}")

    def succeeded(self, record: Record) -> bool:
        """Whether the record is now there: applied, or unchanged."""
        return self._codes.codes[record.index] in (OK, UNCHANGED)

    def is_open(self, record: Record) -> bool:
        """Whether nothing was said of a record yet."""
        return self._codes.codes[record.index] == Codes.OPEN

    def leave_rest_untouched(self) -> None:
        """Says of every record of which nothing was said yet that nothing was sent for it."""
        self._codes.fill(UNTOUCHED)


@dataclass(slots=True)
class WrittenBatch:
    """The answer for a batch, as it crosses the boundary."""

    codes: bytes
    target_ids: Column
    receipts: Column
    failures: dict[int, Failure]


def write(plugin: Destination[Any], packed: PackedBatch, keys: Column, stop_at_first_failure: bool) -> WrittenBatch:
    """Writes one batch: one outcome a record, whatever the plugin does."""
    batch = Batch(packed, keys)
    answers = Answers(batch, stop_at_first_failure)
    plugin.write_batch(batch, answers)
    codes = answers._codes
    codes.finish()
    return WrittenBatch(
        codes=bytes(codes.codes),
        target_ids=pack_sparse(answers._target_ids, len(batch)),
        receipts=pack_sparse(answers._receipts, len(batch)),
        failures=codes.failures,
    )
