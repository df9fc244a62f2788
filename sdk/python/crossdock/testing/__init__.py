"""Tests of plugins without WebAssembly, under ``python3 -m unittest`` or whatever runs tests.

Make a plugin from settings as a route would give them, feed it records, look at the answers. The functions play a strict
host: settings are checked as a route's are, and an answer that breaks the contract raises `BrokenContract` with the rule
that it breaks. What the plugin asks of its host is answered by a `Host`::

    plugin = testing.plugin(Large, smallest=100)
    (answer,) = testing.transform(plugin, testing.record("1", {"cents": 99}))
    assert answer.outcome == "dropped"
"""

from __future__ import annotations

import hashlib
import json as _json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .. import _host, _plugin
from .._column import Attribute, PackedBatch, as_bytes, pack
from ..failure import Failure
from ..roles import base, destination, probe as probes, source, transformer, undo
from ..roles.source import More
from .contract import BrokenContract, attributes, failure, outcomes, rule, values
from .host import Host

__all__ = [
    "BrokenContract",
    "Given",
    "Host",
    "Part",
    "ReadPage",
    "ReadRecord",
    "Transformed",
    "Undone",
    "Written",
    "compensate",
    "plugin",
    "probe",
    "read",
    "read_all",
    "record",
    "schema",
    "transform",
    "write",
]

P = TypeVar("P", bound=base.Plugin[Any])
_FIRST_HANDLE = 1_000


def plugin(kind: type[P], settings: dict[str, Any] | None = None, **more: Any) -> P:
    """A plugin with these settings, as JSON gives them. Raises `crossdock.CallError` if they do not fit."""
    if _host._current is None:
        Host()
    said = _json.loads(_json.dumps({**(settings or {}), **more}))
    _plugin.role_of(kind)
    made = base.configured(kind, said)
    assert isinstance(made, kind)
    return made


def schema(kind: type[base.Plugin[Any]]) -> dict[str, Any]:
    """JSON Schema of a plugin's settings, as the host is given it."""
    return base.schema_of(kind)


@dataclass
class Given:
    """A record to give."""

    id: str
    payload: bytes
    attributes: dict[str, str] = field(default_factory=dict)
    key: str = ""


def record(id: str, payload: Any, *, attributes: dict[str, str] | None = None, key: str = "") -> Given:
    """A record with an id and a payload: bytes and text as they are, anything else as JSON."""
    if not isinstance(payload, (bytes, str)):
        payload = _json.dumps(payload, ensure_ascii=False)
    key = key or hashlib.sha256(id.encode()).hexdigest()[:32]
    return Given(id, as_bytes(payload), attributes or {}, key)


def _packed(records: Sequence[Given]) -> PackedBatch:
    rule(len(records) > 0, "a batch has one record at least")
    names = dict.fromkeys(name for given in records for name in given.attributes)
    columns = [Attribute(name, pack(it.attributes.get(name, "").encode() for it in records)) for name in names]
    ids = pack(it.id.encode() for it in records)
    handles = range(_FIRST_HANDLE, _FIRST_HANDLE + len(records))
    return PackedBatch(handles, ids, pack(it.payload for it in records), columns)


@dataclass
class Part:
    """One output of a transformer."""

    payload: bytes
    attributes: dict[str, str]

    @property
    def text(self) -> str:
        """The content as text."""
        return self.payload.decode()

    def json(self) -> Any:
        """The content as JSON."""
        return _json.loads(self.payload)


@dataclass
class Transformed:
    """What a transformer made of one record."""

    id: str
    outcome: str
    """``ok``, ``dropped``, ``rejected`` or ``retryable``."""
    outputs: list[Part]
    failure: Failure | None


def transform(plugin: transformer.Transformer[Any], *records: Given) -> list[Transformed]:
    """Lets a transformer transform a batch."""
    packed = _packed(records)
    done = transformer.transform(plugin, packed)
    said = outcomes(done.codes, done.failures, len(records), "ok dropped rejected retryable")
    counts = done.outputs or [int(outcome == "ok") for outcome, _ in said]
    rule(len(counts) == len(records), f"{len(counts)} numbers of outputs for {len(records)} records")
    for (outcome, _), count in zip(said, counts):
        rule((outcome == "ok") == (count > 0), f"{outcome} with {count} outputs")
    payloads = values("outputs", done.payloads, sum(counts))
    if done.attributes:
        named = attributes(done.attributes, sum(counts))
    else:
        named = [dict(given.attributes) for given, count in zip(records, counts) for _ in range(count)]
    parts = iter([Part(payload, its) for payload, its in zip(payloads, named)])
    made = []
    for given, (outcome, why), count in zip(records, said, counts):
        made.append(Transformed(given.id, outcome, [next(parts) for _ in range(count)], why))
    return made


@dataclass
class Written:
    """What a destination did with one record, or what a probe found out about it."""

    id: str
    key: str
    outcome: str
    """Of a write: ``ok``, ``unchanged``, ``rejected``, ``retryable``, ``unauthorized``, ``unknown`` or ``untouched``; of a
    probe: ``ok`` (applied), ``dropped`` (not applied), ``retryable``, ``unauthorized`` or ``unknown``."""
    target_id: str
    receipt: bytes
    failure: Failure | None


def _written(records: Sequence[Given], done: destination.WrittenBatch, allowed: str) -> list[Written]:
    said = outcomes(done.codes, done.failures, len(records), allowed)
    ids = values("target ids", done.target_ids, len(records), 512)
    receipts = values("receipts", done.receipts, len(records), 16 << 10)
    found = zip(records, said, ids, receipts)
    return [Written(it.id, it.key, outcome, id.decode(), receipt, why) for it, (outcome, why), id, receipt in found]


def write(
    plugin: destination.Destination[Any], *records: Given, stop_at_first_failure: bool = False
) -> list[Written]:
    """Lets a destination write a batch."""
    keys = pack(it.key.encode() for it in records)
    done = destination.write(plugin, _packed(records), keys, stop_at_first_failure)
    made = _written(records, done, "ok unchanged rejected retryable unauthorized unknown untouched")
    if stop_at_first_failure:
        words = [it.outcome for it in made]
        end = next((at for at, word in enumerate(words) if word not in ("ok", "unchanged")), len(words))
        rule(set(words[end + 1 :]) <= {"untouched"}, "records behind the first failure must be untouched")
    return made


def probe(plugin: probes.Probe, *records: Given) -> list[Written]:
    """Lets a destination find out what became of records."""
    done = probes.probe(plugin, _packed(records), pack(it.key.encode() for it in records))
    return _written(records, done, "ok dropped retryable unauthorized unknown")


@dataclass
class Undone:
    """What became of one record to undo."""

    id: str
    outcome: str
    """``ok`` (undone), ``unchanged``, ``rejected``, ``retryable``, ``unauthorized``, ``unknown`` or ``untouched``."""
    failure: Failure | None


def compensate(plugin: undo.Compensate, *records: Written) -> list[Undone]:
    """Lets a destination undo what it has written, newest first."""
    newest = records[::-1]
    batch = undo.UndoBatch(
        handles=range(_FIRST_HANDLE, _FIRST_HANDLE + len(newest)),
        ids=pack(it.id.encode() for it in newest),
        keys=pack(it.key.encode() for it in newest),
        target_ids=pack(it.target_id.encode() for it in newest),
        receipts=pack(it.receipt for it in newest),
    )
    done = undo.compensate(plugin, batch)
    said = outcomes(
        done.codes, done.failures, len(newest), "ok unchanged rejected retryable unauthorized unknown untouched"
    )
    return [Undone(it.id, outcome, why) for it, (outcome, why) in zip(newest, said)]


@dataclass
class ReadRecord:
    """A record that a source gave."""

    id: str
    payload: bytes
    attributes: dict[str, str]
    order_key: str
    unreadable: Failure | None

    @property
    def text(self) -> str:
        """The content as text."""
        return self.payload.decode()


@dataclass
class ReadPage:
    """A page that a source gave."""

    records: list[ReadRecord]
    checkpoint: bytes
    more: More


def read(
    plugin: source.Source[Any],
    checkpoint: bytes | None = None,
    *,
    max_records: int = 1_000,
    max_bytes: int = 4 << 20,
) -> ReadPage:
    """Lets a source read a page."""
    page = source.read(plugin, checkpoint, max_records, max_bytes)
    length = len(page.ids)
    rule(length <= max_records, f"{length} records, and {max_records} were allowed")
    size = len(page.ids.data) + len(page.payloads.data)
    rule(size <= max_bytes or length == 1, f"{size} bytes, and {max_bytes} were allowed")
    rule(length == 0 or page.checkpoint != (checkpoint or b""), "a page with records did not move the checkpoint")
    rule(len(page.checkpoint) <= 64 << 10, "a checkpoint of more than 64 KiB")
    ids = values("ids", page.ids, length)
    rule(len(set(ids)) == length, "two records of a page have the same id")
    for id in ids:
        fine = 1 <= len(id) <= 512 and not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in id.decode())
        rule(fine, f"{id!r} is no id: 1 to 512 bytes without control characters")
    payloads = values("payloads", page.payloads, length)
    keys = values("order keys", page.order_keys, length) if len(page.order_keys) else [b""] * length
    named = attributes(page.attributes, length)
    records = [
        ReadRecord(id.decode(), payload, its, key.decode(), page.unreadable.get(index))
        for index, (id, payload, its, key) in enumerate(zip(ids, payloads, named, keys))
    ]
    for said in page.unreadable.values():
        failure(said)
    return ReadPage(records, page.checkpoint, page.more)


def read_all(plugin: source.Source[Any], *, max_records: int = 1_000, max_bytes: int = 4 << 20) -> list[ReadPage]:
    """Lets a source read page after page from its beginning, until it has nothing more at the moment."""
    pages: list[ReadPage] = []
    known: set[str] = set()
    while not pages or pages[-1].more is More.MORE:
        checkpoint = pages[-1].checkpoint if pages else None
        page = read(plugin, checkpoint, max_records=max_records, max_bytes=max_bytes)
        again = known.intersection(it.id for it in page.records)
        rule(not again, f"two records of the source have the id {min(again, default='')}")
        known.update(it.id for it in page.records)
        pages.append(page)
        rule(len(pages) < 10_000, "10,000 pages and no end")
    return pages


