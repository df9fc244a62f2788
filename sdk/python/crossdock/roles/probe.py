"""Destinations that can be asked afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from .. import control
from .._column import Column, PackedBatch, pack_sparse
from ..failure import Failure, NotSuccessful
from ..record import Batch, Record
from .base import DROPPED, OK, RETRYABLE, UNAUTHORIZED, UNKNOWN, Codes, meant
from .destination import Applied, WrittenBatch, receipt_bytes

__all__ = ["Finding", "NotApplied", "Probe"]


@dataclass(frozen=True, slots=True)
class NotApplied:
    """The record was not applied."""


Finding: TypeAlias = Applied | NotApplied


class Probe(ABC):
    """A destination that can say afterwards whether a record was applied."""

    probe_reserve_ms: ClassVar[int] = 5_000
    """What asking about one record may take at worst: no further one is asked about when less is left."""

    @abstractmethod
    def probe(self, record: Record) -> Finding:
        """Finds out whether a record was applied. Must not change anything.

        The record is the one that `write` was given, with the same key. Raise `Retry` if it cannot be said at the moment,
        `Unknown` if it cannot be said at all.
        """

    def probe_batch(self, batch: Batch, codes: Codes, found: dict[int, Applied]) -> None:
        """Asks about one record after the other, until there is no time left."""
        for record in batch:
            if control.remaining_ms() < self.probe_reserve_ms or control.cancelled():
                break
            try:
                finding = self.probe(record)
            except Exception as error:
                said = meant(error)
                if not isinstance(said, NotSuccessful):
                    raise
                # A question changes nothing: if it could not be asked, it can be asked again.
                sure = said.outcome_code in (UNAUTHORIZED, UNKNOWN) and isinstance(error, NotSuccessful)
                codes.set(record.index, said.outcome_code if sure else RETRYABLE, said.failure)
                continue
            if isinstance(finding, Applied):
                codes.set(record.index, OK)
                found[record.index] = finding
            elif isinstance(finding, NotApplied):
                codes.set(record.index, DROPPED)
            else:
                raise TypeError(f"`probe` must return Applied or NotApplied, not {finding!r}")
        codes.fill(RETRYABLE, lambda: Failure("no-time-left", "there was no time left to ask about the record"))


def probe(plugin: Probe, packed: PackedBatch, keys: Column) -> WrittenBatch:
    """Probes one batch."""
    batch = Batch(packed, keys)
    codes = Codes(len(batch))
    found: dict[int, Applied] = {}
    plugin.probe_batch(batch, codes, found)
    codes.finish()
    return WrittenBatch(
        codes=bytes(codes.codes),
        target_ids=pack_sparse({index: it.target_id.encode() for index, it in found.items()}, len(batch)),
        receipts=pack_sparse({index: receipt_bytes(it.receipt) for index, it in found.items()}, len(batch)),
        failures=codes.failures,
    )
