// The Crossdock plugin `{{name}}`: turns an order's price into cents, and drops cancelled orders.

import { defineTransformer, reject } from "@crossdock/sdk";

/** A record as it comes. Members that are not named here are passed over. */
const ORDER = { customer: "string", status: "string", price: "string" };

export default defineTransformer({
  summary: "Turns an order's price into cents, and drops cancelled orders",

  // JSON Schema of what a route may set: routes are checked by it, and editors show it.
  settings: {
    type: "object",
    properties: {
      currency: { type: "string", minLength: 1, description: "The currency of all prices, for example `EUR`." },
    },
    required: ["currency"],
    additionalProperties: false,
  },

  /** One record in; none, one or many out. What is thrown with `reject` rejects the record, and the others pass. */
  transform(record, out, { settings }) {
    const { customer, status, price } = record.json(ORDER); // Another shape is rejected, with the place to blame.
    if (status === "cancelled") {
      out.drop();
      return;
    }
    out.json({ customer, cents: centsOf(price), currency: settings.currency }); // Call it again to split.
  },
});

/** The cents of an amount such as `12.50` or `12`. Text all the way: a number would be rounded. */
function centsOf(price) {
  const amount = /^(\d{1,13})(?:\.(\d\d))?$/.exec(price);
  if (amount === null) {
    throw reject("not-an-amount", "the price is not an amount such as 12.50", { detail: price, pointer: "/price" });
  }
  return Number(amount[1] + (amount[2] ?? "00"));
}
