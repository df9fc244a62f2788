"""Settings and typed records: what fits, what does not, and what the schema says."""

import unittest
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from crossdock import CallError, Record, Reject, Transformer, setting, shape, testing
from crossdock.shape import Misfit


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Inner:
    """Something within."""

    name: str = setting("Its name.")


@dataclass
class Outer:
    count: int = setting("How many.", minimum=1, maximum=9)
    ratio: float = 0.5
    colour: Colour = Colour.RED
    kind: Literal["a", "b"] = "a"
    note: str | None = None
    inner: list[Inner] = field(default_factory=list)
    more: dict[str, int] = field(default_factory=dict)
    anything: Any = None

    def __post_init__(self) -> None:
        if self.kind == "b" and self.note is None:
            raise ValueError("with `b` there must be a note")


class Plugin(Transformer[Outer]):
    def transform(self, record: Record, out) -> None:
        out.json(record.json(Inner))


class Test(unittest.TestCase):
    def check(self, value, message, pointer) -> None:
        with self.assertRaises(Misfit) as misfit:
            shape.read(Outer, value, strict=True)
        self.assertIn(message, misfit.exception.message)
        self.assertEqual(misfit.exception.pointer, pointer)

    def test_what_fits(self) -> None:
        given = {"count": 3, "ratio": 1, "colour": "blue", "note": "x", "inner": [{"name": "n"}], "more": {"a": 1}}
        read = shape.read(Outer, given, strict=True)
        self.assertEqual(read, Outer(3, 1.0, Colour.BLUE, "a", "x", [Inner("n")], {"a": 1}))
        self.assertIsInstance(read.ratio, float)

    def test_what_does_not_fit_is_told_with_its_place(self) -> None:
        self.check([], "must be an object", "")
        self.check({}, "`/count` is missing", "/count")
        self.check({"count": "3"}, "is text, and must be a whole number", "/count")
        self.check({"count": True}, "is true or false, and must be a whole number", "/count")
        self.check({"count": 0}, "minimum 1", "/count")
        self.check({"count": 10}, "maximum 9", "/count")
        self.check({"count": 1, "cuont": 2}, "`cuont` is not known", "/cuont")
        self.check({"count": 1, "ratio": "x"}, "must be a number", "/ratio")
        self.check({"count": 1, "colour": "green"}, "one of red, blue", "/colour")
        self.check({"count": 1, "kind": "c"}, "one of a, b", "/kind")
        self.check({"count": 1, "inner": [{"name": "n"}, {"name": 1}]}, "must be text", "/inner/1/name")
        self.check({"count": 1, "more": {"a/b~": "x"}}, "must be a whole number", "/more/a~1b~0")
        self.check({"count": 1, "kind": "b"}, "there must be a note", "")

    def test_the_schema(self) -> None:
        schema = testing.schema(Plugin)
        self.assertEqual(schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
        self.assertEqual((schema["required"], schema["additionalProperties"]), (["count"], False))
        properties = schema["properties"]
        count = {"type": "integer", "description": "How many.", "minimum": 1, "maximum": 9}
        self.assertEqual(properties["count"], count)
        self.assertEqual(properties["colour"], {"enum": ["red", "blue"], "default": "red"})
        self.assertEqual(properties["note"]["anyOf"], [{"type": "string"}, {"type": "null"}])
        inner = properties["inner"]["items"]
        self.assertEqual((inner["description"], inner["required"]), ("Something within.", ["name"]))
        self.assertEqual(properties["more"]["additionalProperties"], {"type": "integer"})

    def test_settings_that_do_not_fit_are_refused(self) -> None:
        with self.assertRaises(CallError) as refused:
            testing.plugin(Plugin, count=0)
        self.assertEqual(refused.exception.failure.code, "invalid-settings")
        self.assertEqual(refused.exception.failure.pointer, "/count")

    def test_records_may_hold_more_than_is_named(self) -> None:
        plugin = testing.plugin(Plugin, count=1)
        given = [testing.record("1", {"name": "n", "more": 1}), testing.record("2", {"name": 1})]
        one, two = testing.transform(plugin, *given)
        self.assertEqual(one.outputs[0].json(), {"name": "n"})
        self.assertEqual((two.failure.code, two.failure.pointer), ("unexpected-json", "/name"))

    def test_deep_json_is_a_rejection(self) -> None:
        plugin = testing.plugin(Plugin, count=1)
        (answer,) = testing.transform(plugin, testing.record("1", "[" * 200_000))
        self.assertEqual(answer.failure.code, "not-json")

    def test_a_rejection_carries_its_failure(self) -> None:
        failure = Reject("no-such", "there is none", pointer="/a", detail="x").failure
        self.assertEqual(str(failure), "no-such: there is none (at /a)")


if __name__ == "__main__":
    unittest.main()
