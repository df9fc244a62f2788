// The shape that JSON is expected to have, and the first place where it has another one.

import { Failure } from "./failure.js";

const KINDS = {
  string: [(value) => typeof value === "string", "text"],
  number: [(value) => typeof value === "number", "a number"],
  integer: [(value) => Number.isSafeInteger(value), "a whole number"],
  boolean: [(value) => typeof value === "boolean", "true or false"],
  any: [(value) => value !== undefined, "a value"],
};

/** How deep a value is looked at: deeper than any shape that a person writes. */
const DEPTH_MAX = 64;

function wrong(pointer, wanted, value) {
  const what = value === undefined ? "there is none" : `it is ${value === null ? "null" : Array.isArray(value) ? "a list" : typeof value}`;
  const where = pointer === "" ? "it" : pointer;
  return new Failure("unexpected-json", `${where} should be ${wanted}, and ${what}`, { pointer: pointer === "" ? undefined : pointer });
}

/** Throws a failure with a pointer to the first place where a value has another shape. */
export function checkShape(value, shape, pointer = "", depth = 0) {
  if (depth > DEPTH_MAX) throw new TypeError("the shape is deeper than 64 levels");
  if (typeof shape === "string") {
    const optional = shape.endsWith("?");
    const kind = KINDS[optional ? shape.slice(0, -1) : shape];
    if (kind === undefined) throw new TypeError(`a shape is one of ${Object.keys(KINDS).join(", ")}, with ? if it may be left out, not ${shape}`);
    if (optional && (value === undefined || value === null)) return;
    if (!kind[0](value)) throw wrong(pointer, kind[1], value);
  } else if (Array.isArray(shape)) {
    if (!Array.isArray(value)) throw wrong(pointer, "a list", value);
    const each = shape[0];
    for (let i = 0; i < value.length; i++) checkShape(value[i], each, `${pointer}/${i}`, depth + 1);
  } else {
    if (value === null || typeof value !== "object" || Array.isArray(value)) throw wrong(pointer, "an object", value);
    for (const name in shape) {
      const of = shape[name];
      const inner = value[name];
      // The usual case without a call: text that is there.
      if (of === "string" && typeof inner === "string") continue;
      checkShape(inner, of, `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, depth + 1);
    }
  }
}
