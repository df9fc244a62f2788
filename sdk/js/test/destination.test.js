import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import {
  applied, CallError, defineDestination, Failure, http, notApplied, reject, secrets, state, unchanged, undone, untouched,
} from "../src/index.js";
import { destination, host, record } from "../src/testing/index.js";

const define = (write, more) => defineDestination({ summary: "For tests.", idempotency: "upsert", atomicity: "per-record", write, ...more });
const three = ["1", "2", "3"].map((id) => record(id, { id }));
const outcomes = (written) => written.map(({ outcome, failure }) => failure?.code ?? outcome);

beforeEach(() => host.reset());

test("what is said of each record arrives, and nothing else", () => {
  const written = destination(define((records, answers) => {
    answers.set(records[2], unchanged({ targetId: "T-3" }));
    answers.set(records[0], reject("first-word", "said too early"));
    answers.set(records[0], applied({ targetId: 17, receipt: { order: "ä" } }));
  })).write(three);
  assert.deepEqual(outcomes(written), ["ok", "no-outcome", "unchanged"]);
  assert.equal(written[1].outcome, "unknown");
  assert.deepEqual(written.map(({ targetId }) => targetId), ["17", "", "T-3"]);
  assert.deepEqual(written.map(({ receipt }) => receipt), ['{"order":"ä"}', "", ""]);
  const refuse = (write) => assert.throws(() => destination(define(write)).write(three));
  refuse((records, answers) => answers.set(records[0], undone()));
  refuse((records, answers) => answers.set(records[0], "applied"));
  refuse((records, answers) => answers.set({ index: 0 }, applied()));
  refuse(async () => {});
});

test("one by one: what is thrown is the outcome, and an error nobody expected leaves it open", () => {
  const each = {
    1: () => applied(),
    2: () => { throw new TypeError("a slip"); },
    3: () => { throw new Failure("closed", "the period is closed"); },
  };
  const plugin = define((records, answers) => answers.oneByOne((one) => each[one.id]()));
  assert.deepEqual(outcomes(destination(plugin).write(three)), ["ok", "uncaught-error", "closed"]);
  const [, slip] = destination(plugin).write(three);
  assert.equal(slip.outcome, "unknown");
  assert.match(slip.failure.message, /TypeError: a slip/);
  assert.match(slip.failure.detail, /destination\.test\.js/);
  assert.deepEqual(outcomes(destination(plugin).write(three, { stopAtFirstFailure: true })), ["ok", "uncaught-error", "untouched"]);
  host.remainingMs(999);
  assert.deepEqual(outcomes(destination(plugin).write(three)), ["untouched", "untouched", "untouched"]);
  host.reset();
  host.cancelled(true);
  assert.deepEqual(outcomes(destination(plugin).write(three)), ["untouched", "untouched", "untouched"]);
});

test("a call is refused as a whole only if nothing was done in it", () => {
  const down = () => { throw CallError.unavailable("the other system is down"); };
  assert.throws(() => destination(define(down)).write(three), { kind: "unavailable" });
  const late = define((records, answers) => { answers.set(records[0], applied()); down(); });
  assert.throws(() => destination(late).write(three), /refused the whole call after it had applied/);
  const inside = define((records, answers) => answers.oneByOne((one) => (one.id === "2" ? down() : applied())));
  assert.deepEqual(outcomes(destination(inside).write(three)), ["ok", "unavailable", "ok"]);
  const failure = define(() => { throw new Failure("x", "thrown where no record is at work"); });
  assert.throws(() => destination(failure).write(three), { name: "Failure" });
});

test("several requests at once, answered in any order", () => {
  host.http(({ url }) => (url.endsWith("/2") ? { status: 422, json: { message: "no\n two" } } : { status: 201, json: { id: `T${url.slice(-1)}` } }));
  const plugin = define((records, answers) => http.inParallel(
    answers,
    { inFlight: 2 },
    (one) => (one.id === "4" ? unchanged() : { method: "POST", url: `https://a.example/${one.id}`, json: one.json() }),
    (one, response) => applied({ targetId: response.orThrow().json().id }),
  ));
  const five = ["1", "2", "3", "4", "5"].map((id) => record(id, { id }));
  const written = destination(plugin).write(five);
  assert.deepEqual(outcomes(written), ["ok", "http-422", "ok", "unchanged", "ok"]);
  assert.equal(written[1].failure.message, "no two");
  assert.deepEqual(written.map(({ targetId }) => targetId), ["T1", "", "T3", "", "T5"]);
  assert.deepEqual(host.inFlight(), [1, 2, 2, 2]);
  host.reset();
  host.http(({ url }) => (url.endsWith("/2") ? "no-answer" : { status: 200, json: {} }));
  assert.deepEqual(outcomes(destination(plugin).write(three, { stopAtFirstFailure: true })), ["ok", "http-no-answer", "untouched"]);
  assert.deepEqual(host.inFlight(), [1, 1]);
});

test("undoing in a fresh instance, and asking afterwards", () => {
  const plugin = define((records, answers) => answers.oneByOne((one) => applied({ receipt: { of: one.id } })), {
    compensate: (records, answers) => answers.oneByOne((one) => {
      if (one.id === "1") return undone();
      assert.deepEqual(one.receipt.json(), { of: one.id });
      return one.id === "2" ? unchanged() : untouched();
    }),
    probe: (records, answers) => answers.oneByOne((one) => {
      if (one.id === "3") throw reject("never", "cannot be said");
      return one.id === "1" ? applied({ targetId: "T" }) : notApplied();
    }),
  });
  assert.equal(destination(plugin).abilities.compensates, true);
  assert.equal(destination({ ...plugin, compensates: () => false }).abilities.compensates, false);
  assert.equal(destination(define(() => {}, { compensates: true })).abilities.compensates, false);
  const written = destination(plugin).write(three);
  assert.deepEqual(outcomes(destination(plugin).compensate(written)), ["ok", "unchanged", "untouched"]);
  const other = written.map((one) => ({ ...one, receipt: "of another plugin" }));
  assert.deepEqual(outcomes(destination(plugin).compensate(other)), ["ok", "receipt-unreadable", "receipt-unreadable"]);
  const found = destination(plugin).probe(three);
  assert.deepEqual(found.map(({ outcome }) => outcome), ["ok", "dropped", "unknown"]);
  host.remainingMs(1);
  assert.deepEqual(outcomes(destination(plugin).probe(three)), ["no-time-left", "no-time-left", "no-time-left"]);
});

test("secrets are put in by the host, and state is kept to its limits", () => {
  host.secret("TOKEN", "s3cret");
  host.secret("SEEN", "open", { reveal: true });
  const asked = [];
  host.http((request) => { asked.push(request); return {}; });
  destination(define((records, answers) => {
    const token = secrets.open("TOKEN");
    http.sendAll([
      { url: "https://a.example/", headers: { authorization: token.bearer(), other: undefined } },
      { url: "https://a.example/", headers: [["authorization", token.basic("me")]], query: { key: token, n: 1, "a b": "c&d" } },
    ]);
    assert.throws(() => token.reveal(), { kind: "not-granted" });
    assert.equal(secrets.open("SEEN").reveal().text, "open");
    state.set("seen", { n: 1 });
    assert.deepEqual(state.get("seen").json(), { n: 1 });
    assert.throws(() => state.set("", "x"), { code: "state-too-large" });
    assert.throws(() => state.set("k", new Uint8Array(70_000)), { code: "state-too-large" });
    for (let i = 0; i < 15; i++) state.set(`k${i}`, new Uint8Array(65_536));
    assert.throws(() => state.set("last", new Uint8Array(65_536)), { code: "state-quota-reached" });
    answers.leaveRestUntouched();
  })).write(three);
  assert.equal(host.state("seen"), '{"n":1}');
  assert.deepEqual(asked[0].headers, { authorization: "Bearer s3cret" });
  assert.deepEqual(asked[1].headers, { authorization: `Basic ${Buffer.from("me:s3cret").toString("base64")}` });
  assert.equal(asked[1].url, "https://a.example/?key=s3cret&n=1&a+b=c%26d");
  assert.throws(() => destination(define(() => { secrets.open("OTHER"); })).write(three), { kind: "not-granted", message: /OTHER/ });
});
