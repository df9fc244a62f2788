// The Crossdock plugin `{{name}}`: reads orders from a REST API, page by page.

import { CallError, defineSource, http, secrets } from "@crossdock/sdk";

export default defineSource({
  summary: "Reads orders from a REST API, page by page",

  // JSON Schema of what a route may set: routes are checked by it, and editors show it.
  settings: {
    type: "object",
    properties: {
      base: { type: "string", pattern: "^https?://", description: "Where the API begins, for example `https://shop.example.com`." },
      secret: { type: "string", description: "The name of the secret with which to log in. The host puts its value on the wire; the plugin never sees it." },
    },
    required: ["base", "secret"],
    additionalProperties: false,
  },
  wants: [{ http: "the API" }, { secret: "the key to the API, sent as `Authorization: Bearer`" }],

  /** Reading again from an older checkpoint gives the same records with the same ids: the host relies on it. */
  reReads: true,

  /** Asked before a run and while the source is thought to be down. Changes nothing there. */
  check({ settings }) {
    get(settings, "/health");
  },

  /** Fills a page with what comes after the checkpoint, and moves the checkpoint behind it. */
  read(checkpoint, page, { settings }) {
    // As it was given to `page.checkpoint` below; null at the beginning.
    const after = checkpoint?.json({ after: "integer" }).after;
    const { orders, more } = get(settings, "/orders", { after, limit: page.limits.maxRecords }).json();
    if (!Array.isArray(orders)) throw CallError.unavailable("the API answered something else than orders");
    for (const order of orders) {
      // The same order has the same id whenever it is read. One that no longer fits comes first on the next page.
      if (!page.add({ id: `order-${order.id}`, json: order })) return "more";
      page.checkpoint({ after: order.id });
    }
    return more ? "more" : "idle";
  },
});

/** An answer of the API. What is not 2xx, or does not come, ends the call: the host tries again later. */
function get(settings, path, query) {
  const authorization = secrets.open(settings.secret).bearer();
  return http.send({ url: settings.base + path, query, headers: { authorization } }).orThrow();
}
