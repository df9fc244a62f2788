import assert from "node:assert/strict";
import { test } from "node:test";
import { record, transformer } from "@crossdock/sdk/testing";
import plugin from "../src/plugin.js";

const order = (more) => ({ number: "A-1", customer: "ann", status: "open", items: [{ sku: "tea", quantity: 2, price: "12.50" }], ...more });
const of = (payload, settings = { currency: "EUR" }) => transformer(plugin, settings).transform([record("1", payload)])[0];

test("each line becomes a record, with amounts in cents", () => {
  const items = [{ sku: "nail", quantity: 100, price: "0.05" }, { sku: "hammer", quantity: 1, price: "19" }, { sku: "glue", quantity: 3, price: "2.5" }];
  const { outcome, outputs } = of(order({ items, customer: "bøb" }));
  assert.equal(outcome, "ok");
  assert.deepEqual(outputs.map(({ json }) => json.cents), [500, 1900, 750]);
  assert.deepEqual(outputs[2].json, { order: "A-1", line: 3, customer: "bøb", sku: "glue", quantity: 3, cents: 750, currency: "EUR" });
  assert.deepEqual(outputs[2].attributes, { order: "A-1" });
});

test("cancelled orders are dropped", () => {
  assert.equal(of(order({ status: "cancelled", items: [] })).outcome, "dropped");
});

test("what cannot be an order is rejected, with a pointer to the field to blame", () => {
  const check = (payload, code, pointer, settings) => {
    const { outcome, failure } = of(payload, settings);
    assert.deepEqual([outcome, failure.code, failure.pointer], ["rejected", code, pointer]);
  };
  const line = (more) => order({ items: [{ sku: "tea", quantity: 1, price: "1", ...more }] });
  check("number;customer", "not-json", undefined);
  check("[]", "unexpected-json", undefined);
  check(order({ number: 17 }), "unexpected-json", "/number");
  check(line({ price: 12.5 }), "unexpected-json", "/items/0/price");
  check(line({ quantity: 0.5 }), "unexpected-json", "/items/0/quantity");
  check(order({ items: [] }), "no-items", "/items");
  check(order({ items: [1, 2].map(() => line().items[0]) }), "too-many-items", "/items", { currency: "EUR", items_max: 1 });
  check(line({ quantity: 0 }), "bad-quantity", "/items/0/quantity");
  for (const price of ["12,50", "0.125", "", "-1"]) check(line({ price }), "not-an-amount", "/items/0/price");
  check(line({ quantity: 1000, price: "90071992547409.92" }), "amount-too-large", "/items/0/price");
});
