"""Dataclasses from JSON, and JSON Schema from dataclasses: for settings, and for records that have a type."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from typing import Any

__all__ = ["Misfit", "read", "schema", "setting", "plain"]

_SCHEMA = "crossdock"
_UNION = (typing.Union, types.UnionType)
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_PLAIN = frozenset((str, int, float, bool))
_BOUNDS = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
}


class Misfit(Exception):
    """A value that does not fit: one line for people, and a pointer to it."""

    def __init__(self, message: str, pointer: str = "") -> None:
        self.message = message
        self.pointer = pointer
        super().__init__(message)


def setting(description: str = "", *, default: Any = dataclasses.MISSING, **schema: Any) -> Any:
    """A field of a settings class with what people are told about it.

    Further words go into its JSON Schema as they are, for example ``minimum=0`` or ``examples=["https://erp.example.com"]``;
    ``minimum``, ``maximum``, ``minLength``, ``maxLength``, ``minItems`` and ``maxItems`` are checked.
    A default that is a list or a dict is copied for each instance.
    """
    known = {**schema, "description": description} if description else dict(schema)
    metadata = {_SCHEMA: known}
    if isinstance(default, (list, dict, set)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def read(kind: Any, value: Any, *, strict: bool, at: str = "") -> Any:
    """The value as this type. ``strict`` refuses members that a dataclass does not name.

    Raises `Misfit` with a pointer to the first place that does not fit.
    """
    # What is there most often, and fits, goes by at once.
    if kind is type(value) and kind in _PLAIN:
        return value
    if kind is Any or kind is object:
        return value
    if kind is None or kind is types.NoneType:
        return _fits(value is None, value, "null", at, value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return read(arguments[0], value, strict=strict, at=at)
    if origin in _UNION:
        return _read_union(arguments, value, strict, at)
    if origin is typing.Literal:
        return _fits(value in arguments, value, "one of " + ", ".join(map(str, arguments)), at, value)
    if kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return _fits(number, value, _NAMES[float], at, float(value) if number else value)
    if kind in (str, int, bool):
        exact = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        return _fits(exact, value, _NAMES[kind], at, value)
    if kind is list or origin is list:
        _fits(isinstance(value, list), value, "a list", at, value)
        inner = arguments[0] if arguments else Any
        return [read(inner, item, strict=strict, at=f"{at}/{index}") for index, item in enumerate(value)]
    if kind is dict or origin is dict:
        _fits(isinstance(value, dict), value, "an object", at, value)
        inner = arguments[1] if arguments else Any
        return {key: read(inner, item, strict=strict, at=f"{at}/{_escaped(key)}") for key, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        values = [member.value for member in kind]
        return kind(_fits(value in values, value, "one of " + ", ".join(map(str, values)), at, value))
    if dataclasses.is_dataclass(kind):
        return _read_object(kind, value, strict, at)
    raise TypeError(f"{kind!r} cannot be read from JSON; use dataclasses, str, int, float, bool, list, dict, enums, Literal")


def _fits(fits: bool, value: Any, wanted: str, at: str, given: Any) -> Any:
    if fits:
        return given
    raise Misfit(f"{_place(at)} is {_shown(value)}, and must be {wanted}", at)


def _place(at: str) -> str:
    return f"`{at}`" if at else "it"


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _read_union(arguments: tuple[Any, ...], value: Any, strict: bool, at: str) -> Any:
    misfits = []
    for argument in arguments:
        try:
            return read(argument, value, strict=strict, at=at)
        except Misfit as misfit:
            misfits.append(misfit)
    # The one that got furthest tells most.
    raise max(misfits, key=lambda misfit: len(misfit.pointer))


@functools.cache
def _fields(kind: Any) -> list[tuple[dataclasses.Field[Any], Any, str]]:
    """The fields of a dataclass with their types and pointers: found out once, since it takes longer than reading one."""
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = (field for field in dataclasses.fields(kind) if field.init)
    return [(field, hints[field.name], f"/{_escaped(field.name)}") for field in fields]


def _read_object(kind: Any, value: Any, strict: bool, at: str) -> Any:
    _fits(isinstance(value, dict), value, "an object", at, value)
    fields = _fields(kind)
    if strict:
        names = [field.name for field, _, _ in fields]
        for key in value:
            if key not in names:
                known = ", ".join(names) or "nothing"
                raise Misfit(f"`{key}` is not known; there is {known}", f"{at}/{_escaped(key)}")
    given: dict[str, Any] = {}
    for field, hint, pointer in fields:
        place = at + pointer
        if field.name in value:
            given[field.name] = read(hint, value[field.name], strict=strict, at=place)
            if field.metadata:
                _check_bounds(field, given[field.name], place)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise Misfit(f"`{place}` is missing", place)
    try:
        return kind(**given)
    except ValueError as error:
        # A check of the author's own, in `__post_init__`.
        raise Misfit(str(error), at) from None


def _check_bounds(field: dataclasses.Field[Any], value: Any, at: str) -> None:
    for word, bound in field.metadata.get(_SCHEMA, {}).items():
        holds = _BOUNDS.get(word)
        if holds is not None and value is not None and not holds(value, bound):
            raise Misfit(f"`{at}` does not keep to {word} {bound}", at)


def schema(kind: Any) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return {}
    if origin is typing.Annotated:
        return schema(arguments[0])
    if origin in _UNION:
        return {"anyOf": [schema(argument) for argument in arguments]}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if kind is None or kind is types.NoneType:
        return {"type": "null"}
    simple = {str: "string", int: "integer", float: "number", bool: "boolean"}
    if kind in simple:
        return {"type": simple[kind]}
    if kind is list or origin is list:
        return {"type": "array", "items": schema(arguments[0])} if arguments else {"type": "array"}
    if kind is dict or origin is dict:
        return {"type": "object", "additionalProperties": schema(arguments[1])} if arguments else {"type": "object"}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [member.value for member in kind]}
    if dataclasses.is_dataclass(kind):
        return _schema_of_object(kind)
    raise TypeError(f"{kind!r} has no JSON Schema; use dataclasses, str, int, float, bool, list, dict, enums, Literal")


def _schema_of_object(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        known: dict[str, Any] = {**schema(hints[field.name]), **field.metadata.get(_SCHEMA, {})}
        if field.default is not dataclasses.MISSING:
            known["default"] = plain(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            known["default"] = plain(field.default_factory())
        else:
            required.append(field.name)
        properties[field.name] = known
    said: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        said["required"] = required
    # A dataclass without words of its own gets its signature as documentation.
    words = kind.__doc__ or ""
    if words and not words.startswith(f"{kind.__name__}("):
        said["description"] = words.strip().splitlines()[0]
    return said


def plain(value: Any) -> Any:
    """Dataclasses and enums within a value as what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
