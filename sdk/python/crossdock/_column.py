"""Packed columns: how records cross the boundary. Authors never see them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Column:
    """Byte strings behind one another: value ``i`` is ``data[offsets[i]:offsets[i + 1]]``."""

    data: bytes
    offsets: Sequence[int]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def value(self, index: int) -> bytes:
        """The value at a position."""
        return self.data[self.offsets[index] : self.offsets[index + 1]]

    def text(self, index: int) -> str:
        """The value at a position as text; what is not UTF-8 is replaced."""
        return str(self.value(index), "utf-8", "replace")


def none() -> Column:
    """A column of no values."""
    return Column(b"", [0])


def pack(values: Iterable[bytes]) -> Column:
    """A column of these values."""
    return Builder(values).finish()


def pack_sparse(values: dict[int, bytes], length: int) -> Column:
    """A column of ``length`` values that are empty but for these; of none if all are."""
    if not any(values.values()):
        return none()
    return pack(values.get(index, b"") for index in range(length))


class Builder:
    """A column that grows."""

    __slots__ = ("_values", "_ends", "size")

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        self._values: list[bytes] = []
        self._ends = array("I", [0])
        self.size = 0
        """How many bytes all values have together."""
        for value in values:
            self.push(value)

    def __len__(self) -> int:
        return len(self._values)

    def push(self, value: bytes) -> None:
        """Adds a value."""
        self._values.append(value)
        self.size += len(value)
        self._ends.append(self.size)

    def truncate(self, length: int) -> None:
        """Forgets the values from a position on."""
        del self._values[length:]
        del self._ends[length + 1 :]
        self.size = self._ends[-1]

    def finish(self) -> Column:
        """The column."""
        return Column(b"".join(self._values), self._ends.tolist())


@dataclass(slots=True)
class Attribute:
    """A named value a record."""

    name: str
    values: Column


@dataclass(slots=True)
class PackedBatch:
    """Records handed over together, as they cross the boundary."""

    handles: Sequence[int]
    ids: Column
    payloads: Column
    attributes: Sequence[Attribute]


def as_bytes(value: bytes | bytearray | memoryview | str) -> bytes:
    """Bytes as they are, text as UTF-8."""
    return value.encode() if isinstance(value, str) else bytes(value)
