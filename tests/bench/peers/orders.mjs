// The orders by a plain script: node orders.mjs IN OUT.
import { closeSync, createReadStream, openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";

const [source, target] = process.argv.slice(2);
const out = openSync(target, "w");
let waiting = [];

function write() {
  if (waiting.length > 0) {
    writeSync(out, waiting.join("\n") + "\n");
    waiting = [];
  }
}

for await (const line of createInterface({ input: createReadStream(source), crlfDelay: Infinity })) {
  const order = JSON.parse(line);
  if (order.status === "cancelled") {
    continue;
  }
  waiting.push(
    JSON.stringify({
      reference: order.order,
      customer: order.customer.id,
      name: order.customer.name,
      currency: order.currency,
      amount: order.total.toFixed(2),
      items: order.lines,
    }),
  );
  if (waiting.length === 1000) {
    write();
  }
}
write();
closeSync(out);
