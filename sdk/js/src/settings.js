// Settings against their schema. The host has done so with all of JSON Schema; another host, or a test, may not.

import { CallError, Failure } from "./failure.js";

const TYPES = {
  object: (value) => value !== null && typeof value === "object" && !Array.isArray(value),
  array: Array.isArray,
  string: (value) => typeof value === "string",
  number: (value) => typeof value === "number",
  integer: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === "boolean",
  null: (value) => value === null,
};

/** How deep settings are looked at. What is deeper is left to the host. */
const DEPTH_MAX = 16;

/** What is wrong with a value by the keywords that schemas of settings mostly have; null if nothing is. */
function wrong(value, schema, pointer, depth) {
  if (depth > DEPTH_MAX || !TYPES.object(schema)) return null;
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => TYPES[type]?.(value) ?? true)) return [pointer, `it should be ${types.join(" or ")}`];
  if (Array.isArray(schema.enum) && !schema.enum.some((one) => JSON.stringify(one) === JSON.stringify(value))) {
    return [pointer, `it should be one of ${schema.enum.map((one) => JSON.stringify(one)).join(", ")}`];
  }
  if (typeof value === "number") {
    if (value < schema.minimum) return [pointer, `it should be at least ${schema.minimum}`];
    if (value > schema.maximum) return [pointer, `it should be at most ${schema.maximum}`];
  }
  if (typeof value === "string") {
    if (value.length < schema.minLength) return [pointer, `it should have at least ${schema.minLength} characters`];
    if (schema.pattern !== undefined && !new RegExp(schema.pattern, "u").test(value)) return [pointer, `it should look like ${schema.pattern}`];
  }
  if (Array.isArray(value)) return first(value.map((each, i) => [each, schema.items, i]), pointer, depth);
  if (!TYPES.object(value)) return null;
  const properties = schema.properties ?? {};
  const missing = (schema.required ?? []).find((name) => value[name] === undefined);
  if (missing !== undefined) return [`${pointer}/${missing}`, "it is missing"];
  if (schema.additionalProperties === false) {
    const unknown = Object.keys(value).find((name) => !Object.hasOwn(properties, name));
    if (unknown !== undefined) return [`${pointer}/${unknown}`, "there is no such setting"];
  }
  const known = Object.keys(properties).filter((name) => value[name] !== undefined);
  return first(known.map((name) => [value[name], properties[name], name]), pointer, depth);
}

function first(parts, pointer, depth) {
  for (const [value, schema, name] of parts) {
    const found = wrong(value, schema, `${pointer}/${name}`, depth + 1);
    if (found !== null) return found;
  }
  return null;
}

/** Reads the settings of the route. */
export function settingsOf(text, schema) {
  const refused = (message, pointer) => CallError.invalidSettings(new Failure("invalid-settings", message, { pointer }));
  let settings;
  try {
    settings = JSON.parse(text);
  } catch (error) {
    throw refused(`the settings are no JSON: ${error.message}`);
  }
  const found = wrong(settings, { type: "object", ...schema }, "", 0);
  if (found === null) return settings;
  const [pointer, what] = found;
  throw refused(pointer === "" ? `the settings do not make sense: ${what}` : `the setting ${pointer} does not make sense: ${what}`, pointer);
}
