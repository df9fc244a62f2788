// Makes one record of each line of an order, with amounts in cents.
//
// Does: checks each order, drops cancelled ones, splits the others by line, and turns amounts in text into cents.
// May touch: the record it is given. Never: anything else; it is pure and wants no grants.

import { defineTransformer, reject } from "@crossdock/sdk";
import { totalOf } from "./amount.js";

/** An order as it comes. What is not named here is passed over. */
const ORDER = {
  number: "string",
  customer: "string",
  status: "string",
  items: [{ sku: "string", quantity: "integer", price: "string" }],
};

export default defineTransformer({
  summary: "Makes one record of each line of an order, with amounts in cents",

  // JSON Schema of what a route may set. The host checks the settings against it before the plugin sees them.
  settings: {
    type: "object",
    properties: {
      currency: { type: "string", pattern: "^[A-Z]{3}$", description: "The currency of all prices: three capital letters, for example `EUR`." },
      items_max: { type: "integer", minimum: 1, default: 100, description: "The most lines that an order may have." },
    },
    required: ["currency"],
    additionalProperties: false,
  },

  transform(record, out, { settings }) {
    const { items_max: itemsMax = 100, currency } = settings;
    const order = record.json(ORDER); // Anything else is a rejection that names the place.
    if (order.status === "cancelled") {
      out.drop();
      return;
    }
    if (order.items.length === 0) throw reject("no-items", "the order has no lines", { pointer: "/items" });
    if (order.items.length > itemsMax) {
      const message = `the order has ${order.items.length} lines, and at most ${itemsMax} are taken`;
      throw reject("too-many-items", message, { pointer: "/items" });
    }
    for (const [at, { sku, quantity, price }] of order.items.entries()) {
      const cents = totalOf(quantity, price, `/items/${at}`); // What was written before for this record is forgotten.
      out.json({ order: order.number, line: at + 1, customer: order.customer, sku, quantity, cents, currency });
      out.attribute("order", order.number);
    }
  },
});
