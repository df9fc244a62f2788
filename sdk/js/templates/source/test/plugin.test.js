import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { host, source } from "@crossdock/sdk/testing";
import plugin from "../src/plugin.js";

const SETTINGS = { base: "https://shop.example.com", secret: "API_KEY" };
const ORDERS = [1, 2, 3, 4, 5].map((id) => ({ id, customer: "ann" }));

beforeEach(() => {
  host.reset();
  host.secret("API_KEY", "s3cret");
  host.http(({ url, headers }) => {
    if (headers.authorization !== "Bearer s3cret") return { status: 401 };
    const query = new URL(url).searchParams;
    const rest = ORDERS.filter(({ id }) => id > Number(query.get("after") ?? 0));
    const orders = rest.slice(0, Number(query.get("limit")));
    return { json: { orders, more: orders.length < rest.length } };
  });
});

test("all orders are read, whatever a page holds", () => {
  for (const limits of [{}, { maxRecords: 2 }, { maxBytes: 40 }]) {
    const records = source(plugin, SETTINGS).readAll(limits).flatMap((page) => page.records);
    assert.deepEqual(records.map(({ id }) => id), ["order-1", "order-2", "order-3", "order-4", "order-5"]);
    assert.deepEqual(records[1].json, ORDERS[1]);
  }
});

test("what the API refuses ends the call", () => {
  host.http(() => ({ status: 503 }));
  assert.throws(() => source(plugin, SETTINGS).read(), { kind: "unavailable", code: "http-503" });
  host.http(() => ({ status: 401 }));
  assert.throws(() => source(plugin, SETTINGS).check(), { kind: "unauthorized" });
});
