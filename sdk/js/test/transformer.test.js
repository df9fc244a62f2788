import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { CallError, defineTransformer, Failure, http, reject, retry } from "../src/index.js";
import { host, record, transformer } from "../src/testing/index.js";

const define = (transform, more) => defineTransformer({ summary: "For tests.", settings: {}, transform, ...more });
const run = (transform, ...records) => transformer(define(transform)).transform(records.length > 0 ? records : [record("1", { a: 1 })]);

beforeEach(() => host.reset());

test("each record has one outcome, whatever the plugin does for it", () => {
  const answers = run((record, out) => {
    const { say } = record.json();
    if (say === "copy") out.copy(record);
    if (say === "drop") { out.text("forgotten"); out.drop(); }
    if (say === "split") { out.text("a"); out.json({ b: 1 }); out.bytes(new Uint8Array([99])); }
    if (say === "reject") { out.text("forgotten"); throw reject("no-good", "it is no good", { pointer: "/say", detail: "very" }); }
    if (say === "retry") throw retry("busy", "somebody else has it", { retryAfterMs: 1500.4 });
    if (say === "unknown") throw new Failure("odd", "a transformer does not know", { outcome: "unknown" });
  }, ...["copy", "drop", "nothing", "split", "reject", "copy", "retry", "unknown"].map((say, i) => record(`${i}`, { say })), record("x", "no JSON"));
  assert.deepEqual(answers.map(({ outcome, outputs, failure }) => [outcome, outputs.map(({ text }) => text), failure?.code]), [
    ["ok", ['{"say":"copy"}'], undefined],
    ["dropped", [], undefined],
    ["rejected", [], "no-output"],
    ["ok", ["a", '{"b":1}', "c"], undefined],
    ["rejected", [], "no-good"],
    ["ok", ['{"say":"copy"}'], undefined],
    ["retryable", [], "busy"],
    ["retryable", [], "odd"],
    ["rejected", [], "not-json"],
  ]);
  assert.deepEqual(answers[4].failure, { code: "no-good", message: "it is no good", detail: "very", pointer: "/say" });
  assert.equal(answers[6].failure.retryAfterMs, 1500);
});

test("attributes stay, are replaced, and are removed", () => {
  const [first, second] = run((given, out) => {
    assert.equal(given.attribute("colour"), given.id === "1" ? "red" : undefined);
    out.copy(given);
    if (given.id === "1") return;
    out.attribute("size", "7");
    out.text("part");
    out.attribute("kept", "");
  }, record("1", "x", { attributes: { colour: "red" } }), record("2", "y", { attributes: { kept: "yes" } }));
  assert.deepEqual(first.outputs[0].attributes, { colour: "red" });
  assert.deepEqual(second.outputs.map(({ attributes }) => attributes), [{ kept: "yes", size: "7" }, {}]);
});

test("payloads that are not text, and shapes", () => {
  const check = (payload, shape, code, pointer) => {
    const [{ outcome, failure }] = run((given, out) => out.json(given.json(shape)), record("1", payload));
    assert.deepEqual([outcome, failure?.code, failure?.pointer], code === undefined ? ["ok", undefined, undefined] : ["rejected", code, pointer]);
  };
  check(new Uint8Array([0x22, 0xff, 0x22]), undefined, "not-utf-8");
  check({ a: 1, b: "x" }, { a: "integer", b: "string" });
  check({ a: 1 }, { a: "integer", b: "string?" });
  check({ a: 1, b: null }, { a: "integer", b: "string?" });
  check({ a: 1 }, { a: "integer", b: "string" }, "unexpected-json", "/b");
  check({ a: 1.5 }, { a: "integer" }, "unexpected-json", "/a");
  check({ a: 2 ** 60 }, { a: "integer" }, "unexpected-json", "/a");
  check({ a: [{ "b/c": 1 }, { "b/c": true }] }, { a: [{ "b/c": "number" }] }, "unexpected-json", "/a/1/b~1c");
  check({ a: {} }, { a: ["any"] }, "unexpected-json", "/a");
  check("[]", { a: "any" }, "unexpected-json", undefined);
});

test("mistakes of the author's are told and are no outcome", () => {
  assert.throws(() => run(() => { null.customer; }), TypeError);
  assert.throws(() => run(async (given, out) => out.copy(given)), /transform returned a promise; plugins are synchronous/);
  assert.throws(() => run((given, out) => out.bytes("text")), /takes a Uint8Array/);
  assert.equal(run((given, out) => out.json(undefined))[0].failure.code, "not-json");
  assert.throws(() => defineTransformer({ summary: "x" }), /needs the function `transform`/);
  assert.throws(() => define(() => {}, { summary: "" }), /needs a `summary`/);
  assert.throws(() => transformer(define(() => {}, { maxBatch: 20_000 })), /maxBatch is 1 to 10000/);
  assert.throws(() => transformer(define(() => {}, { wants: [{ sockets: "all" }] })), /a want is one of/);
});

test("settings are prepared once, and refused as a mistake in the route", () => {
  let prepared = 0;
  const plugin = define((given, out, { settings, prepared: factor }) => out.json(settings.base * factor), {
    prepare(settings) {
      prepared += 1;
      if (settings.base < 0) throw CallError.invalidSettings(new Failure("base-negative", "base is negative", { pointer: "/base" }));
      if (settings.base > 9) throw new Failure("base-too-large", "base is too large");
      return 10;
    },
    pure: ({ base }) => base === 2,
  });
  const instance = transformer(plugin, { base: 2 });
  assert.equal(instance.abilities.pure, true);
  assert.equal(transformer(plugin, { base: 3 }).abilities.pure, false);
  assert.deepEqual(instance.transform([record("1", ""), record("2", "")]).map(({ outputs }) => outputs[0].text), ["20", "20"]);
  assert.equal(prepared, 2);
  assert.throws(() => transformer(plugin, { base: -1 }), { name: "Refused", kind: "invalid-settings", code: "base-negative" });
  assert.throws(() => transformer(plugin, { base: 10 }), { kind: "invalid-settings", code: "base-too-large" });
});

test("a request whose answer is lost makes a transformer's record wait", () => {
  const look = define((given, out) => out.text(http.send({ url: "https://a.example/" }).orThrow().text), { pure: false });
  const check = (answer, outcome, code) => {
    host.http(() => answer);
    const [said] = transformer(look).transform([record("1", "")]);
    assert.deepEqual([said.outcome, said.failure?.code], [outcome, code]);
  };
  check({ body: "fine" }, "ok", undefined);
  check("no-answer", "retryable", "http-no-answer");
  check({ status: 500 }, "retryable", "http-500");
  check({ status: 404 }, "rejected", "http-404");
});

test("settings that do not fit the schema are refused, with the place", () => {
  const schema = {
    type: "object",
    properties: {
      base: { type: "string", pattern: "^https?://" },
      limit: { type: "integer", minimum: 1, maximum: 9 },
      mode: { enum: ["fast", "safe"] },
      names: { type: "array", items: { type: "string", minLength: 1 } },
      inner: { type: "object", properties: { on: { type: ["boolean", "null"] } }, additionalProperties: false },
    },
    required: ["base"],
    additionalProperties: false,
  };
  const plugin = define((given, out) => out.copy(given), { settings: schema });
  const check = (settings, pointer) => {
    const begin = () => transformer(plugin, settings);
    if (pointer === undefined) return begin();
    return assert.throws(begin, ({ kind, code, failure }) => {
      assert.deepEqual([kind, code, failure.pointer], ["invalid-settings", "invalid-settings", pointer]);
      return true;
    });
  };
  const base = "https://a.example";
  check({ base, limit: 9, mode: "safe", names: ["a"], inner: { on: null } });
  check([], "");
  check({}, "/base");
  check({ base: 7 }, "/base");
  check({ base: "a.example" }, "/base");
  check({ base, limt: 1 }, "/limt");
  for (const limit of [0, 10, 1.5, "1"]) check({ base, limit }, "/limit");
  check({ base, mode: "slow" }, "/mode");
  check({ base, names: ["a", ""] }, "/names/1");
  check({ base, inner: { off: true } }, "/inner/off");
  check({ base, inner: { on: 1 } }, "/inner/on");
});
