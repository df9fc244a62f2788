import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { destination, host, record, type SeenRequest, type TestAnswer } from "@crossdock/sdk/testing";
import plugin from "../src/plugin.ts";

const SETTINGS = { base: "https://books.example.com/", secret: "BOOKS_KEY", account: "4400" };
const LINE = { order: "A-1", line: 1, customer: "ann", sku: "tea", quantity: 2, cents: 2500, currency: "EUR" };

/** Books that enter once a key. */
function books(): { entries: Map<string, string>; serve(request: SeenRequest): TestAnswer } {
  const entries = new Map<string, string>();
  return {
    entries,
    serve({ method, url, headers }) {
      if (headers.authorization !== "Bearer s3cret") return { status: 401 };
      if (method === "DELETE") {
        const id = url.split("/").pop() ?? "";
        const known = [...entries].find(([, of]) => of === id);
        if (known === undefined) return { status: 404 };
        entries.delete(known[0]);
        return { status: 204 };
      }
      const key = headers["idempotency-key"] ?? "";
      const had = entries.get(key);
      if (had === undefined) entries.set(key, `E-${entries.size + 1}`);
      return { status: had === undefined ? 201 : 200, json: { id: entries.get(key) } };
    },
  };
}

beforeEach(() => {
  host.reset();
  host.secret("BOOKS_KEY", "s3cret");
});

test("each record is entered once and can be undone, twice and in a fresh instance", () => {
  const server = books();
  host.http(server.serve);
  const records = ["A-1/1", "A-1/2", "A-1/3"].map((id) => record(id, LINE));
  const first = destination(plugin, SETTINGS).write(records);
  const again = destination(plugin, SETTINGS).write(records);
  assert.deepEqual(again.map(({ targetId }) => targetId), first.map(({ targetId }) => targetId));
  assert.equal(server.entries.size, 3);
  assert.match(first[0]!.receipt, /^\{"entry":"E-\d"\}$/);
  const undone = destination(plugin, SETTINGS).compensate(first);
  assert.deepEqual(undone.map(({ outcome }) => outcome), ["ok", "ok", "ok"]);
  assert.equal(server.entries.size, 0);
  const twice = destination(plugin, SETTINGS).compensate(first);
  assert.deepEqual(twice.map(({ outcome }) => outcome), ["unchanged", "unchanged", "unchanged"]);
});

test("what is asked of the books, in full", () => {
  const seen: SeenRequest[] = [];
  host.http((request) => {
    seen.push(request);
    return { status: 201, json: { id: "E-7" } };
  });
  const [written] = destination(plugin, SETTINGS).write([record("A-1/1", LINE, { key: "k".repeat(32) })]);
  assert.equal(written?.targetId, "E-7");
  const [{ method, url, headers, timeoutMs }] = seen as [SeenRequest];
  assert.deepEqual({ method, url, timeoutMs }, { method: "POST", url: "https://books.example.com/entries", timeoutMs: 5000 });
  assert.deepEqual(headers, { authorization: "Bearer s3cret", "idempotency-key": "k".repeat(32), "content-type": "application/json" });
  assert.deepEqual(seen[0]?.json(), { reference: "A-1/1", account: "4400", cents: 2500, currency: "EUR", text: "2 x tea for ann" });
});

test("refusals say what the host has to know", () => {
  const check = (answer: TestAnswer, outcome: string, failure: object) => {
    host.http(() => answer);
    const [written] = destination(plugin, SETTINGS).write([record("A-1/1", LINE)]);
    assert.equal(written?.outcome, outcome);
    for (const [name, value] of Object.entries(failure)) assert.equal(written?.failure?.[name as "code"], value);
  };
  check({ status: 422, json: { error: "unknown currency", field: "currency" } }, "rejected", { code: "http-422", message: "unknown currency", pointer: "/currency" });
  check({ status: 401 }, "unauthorized", { code: "http-401" });
  check({ status: 429, headers: { "retry-after": 7 } }, "retryable", { code: "http-429", retryAfterMs: 7000 });
  check({ status: 500, body: "stack trace" }, "unknown", { code: "http-500", detail: "stack trace" });
  check("no-answer", "unknown", { code: "http-no-answer" });
  check("not-connected", "retryable", { code: "http-not-connected" });
  check({ status: 201, json: { id: "../admin" } }, "unknown", { code: "answer-without-id" });
});

test("nothing is begun without time, or behind a failure", () => {
  let requests = 0;
  host.http(() => {
    requests += 1;
    return { status: 409, json: { error: "the period is closed" } };
  });
  const records = ["1", "2", "3"].map((id) => record(id, LINE));
  const outcomes = destination(plugin, SETTINGS).write(records, { stopAtFirstFailure: true }).map(({ outcome }) => outcome);
  assert.deepEqual([outcomes, requests], [["rejected", "untouched", "untouched"], 1]);
  host.remainingMs(4_999);
  const late = destination(plugin, SETTINGS).write(records).map(({ outcome }) => outcome);
  assert.deepEqual([late, requests], [["untouched", "untouched", "untouched"], 1]);
});

test("settings and credentials", () => {
  assert.throws(() => destination(plugin, { ...SETTINGS, base: "books.example.com" }), { kind: "invalid-settings" });
  assert.throws(() => destination(plugin, { ...SETTINGS, secret: "OTHER" }), { kind: "not-granted", code: "secret-not-granted" });
  host.http(() => ({ status: 401 }));
  assert.throws(() => destination(plugin, SETTINGS).check(), { kind: "unauthorized", code: "http-401" });
});
