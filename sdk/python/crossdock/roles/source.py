"""Sources."""

from __future__ import annotations

import json as _json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from .. import shape
from .._column import Attribute, Builder, Column, as_bytes, none, pack
from ..failure import Failure
from .base import Plugin, S

__all__ = ["More", "Page", "Source"]


class More(Enum):
    """What comes after a page."""

    MORE = "more"
    """Ask again at once."""
    IDLE = "idle"
    """Nothing more at the moment; there may be later."""
    END = "end"
    """Nothing more, ever."""


class Source(Plugin[S], ABC):
    """Brings records in."""

    re_reads: ClassVar[bool] = False
    """Whether reading again from an older checkpoint gives the same records with the same ids."""

    @abstractmethod
    def read(self, checkpoint: bytes | None, page: Page) -> More:
        """Reads the page after a checkpoint; ``None`` is the beginning.

        Called again and again during a run, usually with the checkpoint of the page before, but after a crash or a stop
        with an older one. Stop adding records once ``page.full``. Reading must not change anything at the origin; that is
        what `ack` is for. Raise `CallError` if nothing can be read.
        """

    def ack(self, checkpoint: bytes) -> None:
        """All records up to this checkpoint are settled or kept safely, and that is on disk."""


class Page:
    """The page that a source fills."""

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self.max_records = max_records
        """How many records it may hold: at least 1."""
        self.max_bytes = max_bytes
        """How many bytes ids and payloads together may have."""
        self._ids = Builder()
        self._payloads = Builder()
        self._order_keys: dict[int, bytes] = {}
        self._attributes: dict[str, dict[int, bytes]] = {}
        self._unreadable: dict[int, Failure] = {}
        self._checkpoint: bytes | None = None

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def bytes(self) -> int:
        """How many bytes ids and payloads have together."""
        return self._ids.size + self._payloads.size

    @property
    def full(self) -> bool:
        """Whether it must not get any more records."""
        return len(self) >= self.max_records or self.bytes >= self.max_bytes

    def fits(self, size: int) -> bool:
        """Whether a record of this size, id and payload together, still fits. An empty page takes one of any size."""
        return len(self) == 0 or (len(self) < self.max_records and self.bytes + size <= self.max_bytes)

    def push(
        self,
        id: str,
        payload: _Bytes | str | Any,
        *,
        order_key: _Bytes | str | None = None,
        attributes: Mapping[str, _Bytes | str] | None = None,
        unreadable: Failure | None = None,
    ) -> None:
        """Adds a record. A payload that is neither bytes nor text is written as JSON.

        The id is its stable identity, 1 to 512 bytes without control characters: the same record has the same id whenever
        it is read again, and no two records of the source share one. Records with the same order key are kept in order.
        A record that was found but cannot be read says why with ``unreadable``: the host keeps it as rejected, and the
        others pass.
        """
        if not isinstance(payload, (str, _Bytes, bytearray, memoryview)):
            payload = _json.dumps(shape.plain(payload), ensure_ascii=False, separators=(",", ":"))
        index = len(self)
        self._ids.push(id.encode())
        self._payloads.push(as_bytes(payload))
        if order_key is not None:
            self._order_keys[index] = as_bytes(order_key)
        for name, value in (attributes or {}).items():
            self._attributes.setdefault(name, {})[index] = as_bytes(value)
        if unreadable is not None:
            self._unreadable[index] = unreadable

    def checkpoint(self, position: _Bytes | str) -> None:
        """The position after this page: what `read` is given to go on from here. At most 64 KiB, without meaning to the
        host. A page with records must move it; unless told, it stays where it was."""
        self._checkpoint = as_bytes(position)


_Bytes = bytes


@dataclass(slots=True)
class ReadPage:
    """A page as it crosses the boundary."""

    ids: Column
    payloads: Column
    attributes: list[Attribute]
    order_keys: Column
    unreadable: dict[int, Failure]
    checkpoint: bytes
    more: More


def read(plugin: Source[Any], checkpoint: bytes | None, max_records: int, max_bytes: int) -> ReadPage:
    """Reads one page."""
    page = Page(max_records, max_bytes)
    more = plugin.read(checkpoint, page)
    if not isinstance(more, More):
        raise TypeError(f"`read` must return one of More.MORE, More.IDLE and More.END, not {more!r}")
    length = len(page)
    keys = page._order_keys
    position = page._checkpoint if page._checkpoint is not None else checkpoint
    return ReadPage(
        ids=page._ids.finish(),
        payloads=page._payloads.finish(),
        attributes=[Attribute(name, _whole(values, length)) for name, values in page._attributes.items()],
        order_keys=_whole(keys, length) if keys else none(),
        unreadable=dict(sorted(page._unreadable.items())),
        checkpoint=position if position is not None else b"",
        more=more,
    )


def _whole(values: dict[int, bytes], length: int) -> Column:
    return pack(values.get(index, b"") for index in range(length))


