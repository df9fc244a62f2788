"""Transformers."""

from __future__ import annotations

import json as _json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import shape
from .._column import Attribute, Builder, Column, PackedBatch, as_bytes, pack
from ..failure import Failure, NotSuccessful, Reject
from ..record import Batch, Record, not_json
from .base import DROPPED, REJECTED, RETRYABLE, Plugin, S, meant

__all__ = ["Output", "Transformer"]

_dumps = _json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Transformer(Plugin[S], ABC):
    """Changes, drops or splits records. Nothing may depend on what an instance has seen before."""

    pure: ClassVar[bool] = True
    """Whether the answer depends on records and settings only, so that the host may ask again, and may cut a batch into
    smaller ones. Say no if the answer comes from elsewhere, for example over HTTP."""

    @abstractmethod
    def transform(self, record: Record, out: Output) -> None:
        """Transforms one record: what is written to ``out`` goes on.

        Raise `Reject` if it will never be accepted as it is, `Retry` if something outside the record was in the way, or
        call ``out.drop()``. Any other exception is a mistake in the plugin: the host ends the instance, finds the record
        and lets the others pass.
        """


class Output:
    """Where a transformer writes what a record becomes. Each call gives one whole record; more than one split it."""

    __slots__ = ("_attributes", "_dropped", "_first", "_payloads", "_record")

    def __init__(self) -> None:
        self._payloads = Builder()
        self._attributes: list[tuple[int, str, bytes]] = []
        self._first = 0
        self._dropped = False
        self._record: Record | None = None

    def json(self, value: Any, attributes: Mapping[str, bytes | str] | None = None) -> None:
        """One output: JSON text of the value, which may hold dataclasses."""
        try:
            text = _dumps(value)
        except (TypeError, ValueError):
            try:
                text = _dumps(shape.plain(value))
            except (TypeError, ValueError) as error:
                raise Reject(not_json(error)) from None
        self.write(text, attributes)

    def write(self, payload: bytes | str, attributes: Mapping[str, bytes | str] | None = None) -> None:
        """One output: these bytes, or this text as UTF-8."""
        self._payloads.push(as_bytes(payload))
        if attributes:
            self.attributes(attributes)

    def copy(self) -> None:
        """One output: the record's payload as it came."""
        if self._record is not None:
            self.write(self._record.bytes)

    def attributes(self, values: Mapping[str, bytes | str]) -> None:
        """Sets attributes of the output that was written last; those of the record are kept beside them."""
        output = max(len(self._payloads) - 1, self._first)
        self._attributes.extend((output, name, as_bytes(value)) for name, value in values.items())

    def drop(self) -> None:
        """The record is filtered out. Anything written for it is forgotten."""
        self._dropped = True

    def _begin(self, record: Record) -> None:
        self._record = record
        self._first = len(self._payloads)
        self._dropped = False

    def _take_back(self) -> None:
        self._payloads.truncate(self._first)
        while self._attributes and self._attributes[-1][0] >= self._first:
            self._attributes.pop()


@dataclass(slots=True)
class Transformed:
    """The answer for a batch, as it crosses the boundary."""

    codes: bytes
    outputs: list[int]
    payloads: Column
    attributes: list[Attribute]
    failures: dict[int, Failure]


def transform(plugin: Transformer[Any], packed: PackedBatch) -> Transformed:
    """Transforms a whole batch, record by record: one outcome each, whatever the plugin does."""
    batch = Batch(packed)
    out = Output()
    codes = bytearray(len(batch))
    counts = [1] * len(batch)
    split = False
    failures: dict[int, Failure] = {}
    run = plugin.transform
    for index, record in enumerate(batch):
        out._begin(record)
        try:
            run(record, out)
            given = len(out._payloads) - out._first
            if given and not out._dropped:
                counts[index] = given
                split = split or given != 1
                continue
            code, failure = (DROPPED, None) if out._dropped else (REJECTED, _no_output())
        except Exception as error:
            said = meant(error)
            if not isinstance(said, NotSuccessful):
                raise
            code, failure = said.outcome_code, said.failure
            if code not in (REJECTED, RETRYABLE):
                code = RETRYABLE
        out._take_back()
        codes[index] = code
        counts[index] = 0
        if failure is not None:
            failures[index] = failure
    parents = [index for index, count in enumerate(counts) for _ in range(count)] if out._attributes else []
    return Transformed(
        codes=bytes(codes),
        outputs=counts if split else [],
        payloads=out._payloads.finish(),
        attributes=_attributes(packed, out._attributes, parents),
        failures=failures,
    )


def _no_output() -> Failure:
    return Failure("no-output", "the transformer neither gave an output nor dropped the record")


def _attributes(packed: PackedBatch, given: list[tuple[int, str, bytes]], parents: list[int]) -> list[Attribute]:
    """The attributes of all outputs: those of the records they came from, and over them those that were set."""
    if not given:
        return []
    columns: dict[str, list[bytes]] = {}
    for attribute in packed.attributes:
        columns[attribute.name] = [attribute.values.value(parent) for parent in parents]
    for output, name, value in given:
        columns.setdefault(name, [b""] * len(parents))[output] = value
    return [Attribute(name, pack(values)) for name, values in columns.items()]


