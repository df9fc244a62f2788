// The Crossdock plugin `{{name}}`: posts records to a REST API, and deletes what is to be undone.

import { applied, defineDestination, http, secrets, unchanged, undone, unknown } from "@crossdock/sdk";

/** What one request may take, and so what must be left of a call's time to begin one. */
const REQUEST_MS = 5_000;

export default defineDestination({
  summary: "Posts records to a REST API, and deletes what is to be undone",

  // JSON Schema of what a route may set: routes are checked by it, and editors show it.
  settings: {
    type: "object",
    properties: {
      base: { type: "string", pattern: "^https?://", description: "Where the API begins, for example `https://erp.example.com`." },
      secret: { type: "string", description: "The name of the secret with which to log in. The host puts its value on the wire; the plugin never sees it." },
    },
    required: ["base", "secret"],
    additionalProperties: false,
  },
  wants: [{ http: "the API" }, { secret: "the key to the API, sent as `Authorization: Bearer`" }],

  // The host relies on these when it decides whether to try again: say the truth.
  idempotency: "native-key", // The API knows a request again by its `Idempotency-Key`.
  atomicity: "per-record",

  /** Asked before a run and while the breaker is open. Changes nothing there. */
  check({ settings }) {
    http.send(request(settings, "GET", "/health")).orThrow();
  },

  /** One record after the other; `oneByOne` keeps the order, the time and the wish to stop at the first failure. */
  write(_records, answers, { settings }) {
    answers.oneByOne(REQUEST_MS, (record) => {
      const post = request(settings, "POST", "/orders", { "idempotency-key": record.key, "content-type": "application/json" });
      // 4xx is rejected, 429 and 503 come again later, and an answer that was lost is unknown: never a guess.
      const answer = http.send({ ...post, body: record.bytes, record }).orThrow();
      const { id } = answer.json();
      if (!Number.isInteger(id)) throw unknown("answer-without-id", "the API did not say what it made", { detail: answer.text });
      return applied({ targetId: id, receipt: { order: id } }); // The receipt is what undoing needs, days later.
    });
  },

  /** May be called twice for the same record: what is gone already is fine. */
  compensate(_records, answers, { settings }) {
    answers.oneByOne(REQUEST_MS, (record) => {
      const { order } = record.receipt.json({ order: "integer" });
      const answer = http.send({ ...request(settings, "DELETE", `/orders/${order}`), record });
      if (answer.status === 404 || answer.status === 410) return unchanged();
      answer.orThrow();
      return undone();
    });
  },
});

function request(settings, method, path, headers) {
  const authorization = secrets.open(settings.secret).bearer();
  return { method, url: settings.base + path, headers: { authorization, ...headers }, timeoutMs: REQUEST_MS };
}
