// Enters lines of orders into the books through their REST API, and takes them back.
//
// Does: posts each record under its idempotency key, several at once, and deletes what is to be undone.
// May touch: the API that its settings name, over HTTP. Never: anything else.

import { applied, defineDestination, http, unchanged, undone, type Shaped } from "@crossdock/sdk";
import { blamed, Books, entryId, type Entry } from "./books.ts";

/** What one request may take, and so what must be left of a call's time to begin one. */
const REQUEST_MS = 5_000;

/** What a route may set. */
export interface Settings {
  base: string;
  secret: string;
  account: string;
  in_flight?: number;
}

/** A record: a line of an order, as the example `orders` makes it. */
const LINE = { customer: "string", sku: "string", quantity: "integer", cents: "integer", currency: "string" } as const;

/** What is left behind to undo a record, in a fresh instance and days later. */
const RECEIPT = { entry: "string" } as const;

export default defineDestination<Settings, Books>({
  summary: "Enters lines of orders into the books through their REST API, and takes them back",
  settings: {
    type: "object",
    properties: {
      base: { type: "string", pattern: "^https?://", description: "Where the books' API begins, for example `https://books.example.com`." },
      secret: { type: "string", description: "The name of the secret with which to log in. The host puts its value on the wire; the plugin never sees it." },
      account: { type: "string", description: "The account that everything is entered to." },
      in_flight: { type: "integer", minimum: 1, maximum: 64, default: 4, description: "How many requests may be on their way at once." },
    },
    required: ["base", "secret", "account"],
    additionalProperties: false,
  },
  wants: [{ http: "the books" }, { secret: "the key to the books, sent as `Authorization: Bearer`" }],

  // The host relies on these two when it decides whether to try again: say the truth.
  idempotency: "native-key",
  atomicity: "per-record",

  prepare: (settings) => new Books(settings.base, settings.secret, REQUEST_MS),

  check({ prepared: books }) {
    http.send(books.health()).orThrow();
  },

  write(_records, answers, { settings, prepared: books }) {
    // As many requests on their way as may be; nothing is begun that could not be answered in time.
    http.inParallel(
      answers,
      { inFlight: settings.in_flight ?? 4, reserveMs: REQUEST_MS },
      (record) => {
        const line = record.json(LINE);
        const entry: Entry = {
          reference: record.id,
          account: settings.account,
          cents: line.cents,
          currency: line.currency,
          text: `${line.quantity} x ${line.sku} for ${line.customer}`,
        };
        return books.enter(entry, record);
      },
      (_record, response) => {
        // 200 says that the books have had this key before. The key is ours: it was applied, and is ours to undo.
        response.orThrow({ pointer: blamed(response) });
        const entry = entryId(response);
        const receipt: Shaped<typeof RECEIPT> = { entry };
        return applied({ targetId: entry, receipt });
      },
    );
  },

  compensate(_records, answers, { settings, prepared: books }) {
    http.inParallel(
      answers,
      { inFlight: settings.in_flight ?? 4, reserveMs: REQUEST_MS },
      (record) => books.takeBack(record.receipt?.json(RECEIPT).entry ?? record.targetId),
      (_record, response) => {
        // Undoing comes again: what is gone already is as it should be.
        if (response.status === 404 || response.status === 410) return unchanged();
        response.orThrow();
        return undone();
      },
    );
  },
});
