import assert from "node:assert/strict";
import { test } from "node:test";
import { record, transformer } from "@crossdock/sdk/testing";
import plugin from "../src/plugin.js";

test("prices become cents", () => {
  const answers = transformer(plugin, { currency: "EUR" }).transform([
    record("A-1", { customer: "ann", status: "open", price: "12.50" }),
    record("A-2", { customer: "bob", status: "cancelled", price: "?" }),
    record("A-3", { customer: "eve", status: "open", price: "12,50" }),
  ]);
  assert.deepEqual(answers[0].outputs[0].json, { customer: "ann", cents: 1250, currency: "EUR" });
  assert.equal(answers[1].outcome, "dropped");
  assert.equal(answers[2].failure.pointer, "/price");
});
