"""The rules of the contract that a test host insists on."""

from __future__ import annotations

import re

from .._column import Attribute, Column
from ..failure import Failure

_CODE = re.compile(r"[a-z0-9.-]{1,64}")
_NEEDS_FAILURE = {3, 4, 5, 6}
WORDS = ("ok", "unchanged", "dropped", "rejected", "retryable", "unauthorized", "unknown", "untouched")


class BrokenContract(AssertionError):
    """The plugin's answer breaks a rule: a host would use nothing of it."""


def rule(kept: bool, broken: str) -> None:
    """Raises if a rule is broken."""
    if not kept:
        raise BrokenContract(broken)


def values(what: str, column: Column, length: int, max_bytes: int | None = None) -> list[bytes]:
    """The values of a column that has to have so many of them, or none where there is a limit for each."""
    if max_bytes is not None and len(column) == 0:
        return [b""] * length
    rule(len(column) == length, f"{len(column)} {what} for {length} records")
    found = [column.value(index) for index in range(length)]
    for value in found:
        rule(max_bytes is None or len(value) <= max_bytes, f"{what} may have {max_bytes} bytes each, one has {len(value)}")
    return found


def attributes(columns: list[Attribute], length: int) -> list[dict[str, str]]:
    """Attributes by record, empty ones left out."""
    rule(len(columns) <= 64, "more than 64 attributes")
    found: list[dict[str, str]] = [{} for _ in range(length)]
    for column in columns:
        rule(1 <= len(column.name.encode()) <= 128, f"the attribute name {column.name} is too long")
        for record, value in zip(found, values(f"values of {column.name}", column.values, length)):
            if value:
                record[column.name] = str(value, "utf-8", "replace")
    return found


def failure(said: Failure) -> Failure:
    """A failure, if it keeps to the rules."""
    rule(_CODE.fullmatch(said.code) is not None, f"{said.code!r} is no failure code: 1 to 64 of a-z 0-9 - .")
    pointer = said.pointer
    rule(pointer is None or pointer == "" or pointer.startswith("/"), f"{pointer!r} is no JSON pointer")
    wait = said.retry_after_ms
    rule(wait is None or 0 <= wait < 1 << 64, f"{wait!r} is no time to wait")
    return said


def outcomes(codes: bytes, failures: dict[int, Failure], records: int, allowed: str) -> list[tuple[str, Failure | None]]:
    """The outcome of each record with its failure."""
    rule(len(codes) == records, f"{len(codes)} codes for {records} records")
    found = []
    for index, code in enumerate(codes):
        word = WORDS[code] if code < len(WORDS) else str(code)
        rule(word in allowed.split(), f"the outcome {word} is not allowed here; there are {allowed}")
        said = failures.get(index)
        rule((said is not None) == (code in _NEEDS_FAILURE), f"{word} with the failure {said}")
        found.append((word, None if said is None else failure(said)))
    return found
