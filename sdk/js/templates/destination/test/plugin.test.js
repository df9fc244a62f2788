import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { destination, host, record } from "@crossdock/sdk/testing";
import plugin from "../src/plugin.js";

const SETTINGS = { base: "https://erp.example.com", secret: "API_KEY" };
const ORDER = record("A-1", { customer: "ann", cents: 1250 });

beforeEach(() => {
  host.reset();
  host.secret("API_KEY", "s3cret");
});

test("a record is posted under its key, and can be undone", () => {
  host.http(({ method, url, headers, text }) => {
    assert.equal(headers.authorization, "Bearer s3cret");
    if (method === "DELETE") return { status: url.endsWith("/orders/7") ? 204 : 404 };
    assert.deepEqual([headers["idempotency-key"], text], [ORDER.key, '{"customer":"ann","cents":1250}']);
    return { status: 201, json: { id: 7 } };
  });
  const written = destination(plugin, SETTINGS).write([ORDER]);
  assert.deepEqual([written[0].outcome, written[0].targetId], ["ok", "7"]);
  assert.equal(destination(plugin, SETTINGS).compensate(written)[0].outcome, "ok");
});

test("answers say what the host has to know", () => {
  const check = (answer, outcome, code) => {
    host.http(() => answer);
    const [{ outcome: said, failure }] = destination(plugin, SETTINGS).write([ORDER]);
    assert.deepEqual([said, failure.code], [outcome, code]);
  };
  check({ status: 422 }, "rejected", "http-422");
  check({ status: 429 }, "retryable", "http-429");
  check({ status: 401 }, "unauthorized", "http-401");
  check("no-answer", "unknown", "http-no-answer");
  check({ status: 200, body: "fine" }, "unknown", "http-answer-not-json");
});
