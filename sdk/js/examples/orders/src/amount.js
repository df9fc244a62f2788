// Amounts in text, as cents.

import { reject } from "@crossdock/sdk";

const AMOUNT = /^(\d{1,18})(?:\.(\d{1,2}))?$/;

/** What a line comes to, in cents. */
export function totalOf(quantity, price, line) {
  if (quantity < 1) {
    throw reject("bad-quantity", "a line is of one piece at least", { pointer: `${line}/quantity` });
  }
  const pointer = `${line}/price`;
  const amount = AMOUNT.exec(price);
  if (amount === null) {
    throw reject("not-an-amount", "the price is not an amount such as 12.50", { detail: price, pointer });
  }
  const [, whole, part = ""] = amount;
  // Whole numbers of any size: beyond 2^53 a number would be rounded without a word.
  const total = BigInt(whole + part.padEnd(2, "0")) * BigInt(quantity);
  if (total > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw reject("amount-too-large", "the line comes to more cents than can be counted exactly", { detail: price, pointer });
  }
  return Number(total);
}
