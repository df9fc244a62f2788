import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { CallError, defineSource, Failure } from "../src/index.js";
import { host, source } from "../src/testing/index.js";

const define = (read, more) => defineSource({ summary: "For tests.", reReads: true, read, ...more });

/** Ten records, as many a page as there is room for. */
const ten = define((checkpoint, page) => {
  let at = checkpoint?.json().at ?? 0;
  while (at < 10 && page.add({ id: `r${at}`, json: { at }, attributes: at % 2 ? { odd: "yes" } : undefined, orderKey: `k${at % 3}` })) at += 1;
  page.checkpoint({ at });
  return at < 10 ? "more" : "idle";
});

beforeEach(() => host.reset());

test("pages hold what there is room for, and go on where they stopped", () => {
  const check = (limits, lengths) => {
    const pages = source(ten).readAll(limits);
    assert.deepEqual(pages.map(({ records }) => records.length), lengths);
    const records = pages.flatMap(({ records }) => records);
    assert.deepEqual(records.map(({ json }) => json.at), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.deepEqual([records[3].attributes, records[4].attributes, records[4].orderKey], [{ odd: "yes" }, {}, "k1"]);
  };
  check({}, [10]);
  check({ maxRecords: 4 }, [4, 4, 2]);
  check({ maxBytes: 25 }, [2, 2, 2, 2, 2]);
  check({ maxBytes: 1 }, Array(10).fill(1));
});

test("records that cannot be read, and checkpoints that do not fit", () => {
  const bad = new Failure("not-a-line", "the line is cut", { detail: "…" });
  const plugin = define((checkpoint, page) => {
    if (checkpoint?.text === "other") throw CallError.checkpointRefused("the file has changed since");
    if (checkpoint !== null) throw new Failure("gone", "nothing there", { outcome: "retryable" });
    page.add({ id: "1", text: "fine" });
    page.add({ id: "2", bytes: new Uint8Array([1]), unreadable: bad });
    page.checkpoint("after 2");
    return "end";
  });
  const { records, checkpoint, more } = source(plugin).read();
  assert.deepEqual([records[0].failure, records[1].failure.code, more], [undefined, "not-a-line", "end"]);
  assert.equal(Buffer.from(checkpoint).toString(), "after 2");
  assert.throws(() => source(plugin).read(Buffer.from("other")), { kind: "checkpoint-refused" });
  assert.throws(() => source(plugin).read(checkpoint), { kind: "unavailable", code: "gone" });
});

test("what breaks the contract is found by the test", () => {
  const check = (read, broken) => assert.throws(() => source(define(read)).read(), broken);
  check((_, page) => { page.add({ id: "1", text: "" }); return "idle"; }, /must move the checkpoint/);
  check((_, page) => { page.add({ id: "1", text: "" }); page.add({ id: "1", text: "" }); page.checkpoint("x"); return "idle"; }, /have the id 1/);
  check((_, page) => { page.add({ id: "a\nb", text: "" }); page.checkpoint("x"); return "idle"; }, /is no id/);
  check(() => "later", /read must return one of more, idle, end, not later/);
  check((_, page) => { page.add({ id: "1" }); return "idle"; }, /one of `json`, `text` and `bytes`/);
  assert.throws(() => defineSource({ summary: "x", read() {} }), /needs `reReads`/);
});

test("ack and check", () => {
  const acked = [];
  const plugin = define(() => "idle", { ack: (checkpoint) => acked.push(checkpoint.text), check() { throw new Failure("down", "not now", { outcome: "unauthorized" }); } });
  source(plugin).ack(Buffer.from("c1"));
  assert.deepEqual(acked, ["c1"]);
  assert.throws(() => source(plugin).check(), { kind: "unauthorized", code: "down" });
});

test("checkpoints of others are refused, whatever they hold", () => {
  const plugin = define((checkpoint) => {
    checkpoint.json({ at: "integer" });
    return "idle";
  });
  for (const text of ["no JSON", "null", "[]", "{}", '{"at":"1"}']) {
    assert.throws(() => source(plugin).read(Buffer.from(text)), { kind: "checkpoint-refused" }, text);
  }
  assert.throws(() => source(plugin).read(Uint8Array.of(0xff)), { kind: "checkpoint-refused" });
  assert.equal(source(plugin).read(Buffer.from('{"at":1}')).more, "idle");
});
