// A host for tests, as strict as the real one. It belongs to the process: `reset` it between tests.

const LEVELS = ["trace", "debug", "info", "warn", "error"];

export const held = {};

export function reset() {
  Object.assign(held, {
    nowMs: 0,
    remainingMs: 30_000,
    cancelled: false,
    server: null,
    secrets: [],
    messages: [],
    counters: new Map(),
    gauges: new Map(),
    state: new Map(),
    begun: new Map(),
    numbers: 0,
    inFlight: [],
  });
}

reset();

function rule(kept, broken) {
  if (!kept) throw new Error(`broken contract: ${broken}`);
}

export const control = {
  nowMs: () => held.nowMs,
  remainingMs: () => held.remainingMs,
  cancelled: () => held.cancelled,
};

export const log = {
  write(level, message) {
    rule(LEVELS.includes(level) && typeof message === "string", `log.write(${level}, ${typeof message})`);
    held.messages.push({ level, message });
  },
};

function metricName(name) {
  rule(/^[a-z0-9_]{1,64}$/.test(name), `${JSON.stringify(name)} is no name of a metric: 1 to 64 of a-z 0-9 _`);
}

export const metrics = {
  count(name, delta) {
    metricName(name);
    rule(Number.isSafeInteger(delta) && delta >= 0, `a counter grows by a whole number, not by ${delta}`);
    held.counters.set(name, (held.counters.get(name) ?? 0) + delta);
  },
  gauge(name, value) {
    metricName(name);
    rule(typeof value === "number", `a gauge is a number, not ${typeof value}`);
    held.gauges.set(name, value);
  },
};

const KEY_MAX_BYTES = 256;
const VALUE_MAX_BYTES = 64 * 1024;
const STATE_MAX_BYTES = 1024 * 1024;
const size = (text) => new TextEncoder().encode(text).length;

export const state = {
  get(key) {
    rule(typeof key === "string", "a key of the state is text");
    return held.state.get(key) ?? null;
  },
  set(key, value) {
    rule(typeof key === "string" && value instanceof Uint8Array, "state.set takes text and bytes");
    if (size(key) < 1 || size(key) > KEY_MAX_BYTES || value.length > VALUE_MAX_BYTES) throw "too-large";
    let total = value.length;
    for (const [known, bytes] of held.state) if (known !== key) total += bytes.length;
    if (total > STATE_MAX_BYTES) throw "quota-reached";
    held.state.set(key, value.slice());
  },
  delete(key) {
    held.state.delete(key);
  },
};

export const secrets = {
  open(name) {
    const handle = held.secrets.findIndex((secret) => secret.name === name);
    if (handle < 0) throw "not-granted";
    return handle;
  },
  reveal(handle) {
    const secret = held.secrets[handle];
    rule(secret !== undefined, `there is no secret with the handle ${handle}`);
    if (!secret.revealed) throw "not-revealed";
    return new TextEncoder().encode(secret.value);
  },
};

/** What stands on the wire for a header or query value. */
function onTheWire(value) {
  const of = (handle) => {
    rule(held.secrets[handle] !== undefined, `there is no secret with the handle ${handle}`);
    return held.secrets[handle].value;
  };
  if (value.tag === "text") return value.val;
  if (value.tag === "secret") return `${value.val.before}${of(value.val.secret)}${value.val.after}`;
  return `Basic ${Buffer.from(`${value.val.user}:${of(value.val.secret)}`).toString("base64")}`;
}

const HOSTS_OWN = ["host", "content-length", "connection", "transfer-encoding", "keep-alive", "te", "trailer", "upgrade"];

/** A request as a test's server sees it, secrets put in. */
function seen(request) {
  rule(/^[A-Z]+$/.test(request.method), `${request.method} is no method in capitals`);
  rule(/^https?:\/\//.test(request.url), `${request.url} is not absolute`);
  rule(request.body instanceof Uint8Array, "the body is bytes");
  const url = new URL(request.url);
  for (const { name, value } of request.query) url.searchParams.append(name, onTheWire(value));
  const headers = {};
  for (const { name, value } of request.headers) {
    rule(!HOSTS_OWN.includes(name.toLowerCase()), `the header ${name} is the host's own`);
    headers[name.toLowerCase()] = onTheWire(value);
  }
  const text = new TextDecoder().decode(request.body);
  return {
    method: request.method,
    url: url.href,
    headers,
    text,
    json: () => JSON.parse(text),
    timeoutMs: request.timeoutMs ?? undefined,
    handle: request.handle === null ? undefined : request.handle >>> 0,
  };
}

function answerTo(request) {
  if (held.server === null) return { tag: "err", val: { tag: "not-granted", val: request.url } };
  const answer = held.server(seen(request));
  if (typeof answer === "string") return { tag: "err", val: { tag: answer, val: answer === "too-large" ? 200 : "by the test" } };
  const { status = 200, headers = {}, json, body = json === undefined ? "" : JSON.stringify(json) } = answer;
  return {
    tag: "ok",
    val: {
      status,
      headers: Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]),
      body: typeof body === "string" ? new TextEncoder().encode(body) : body,
    },
  };
}

export const http = {
  send(requests, inFlight) {
    rule(inFlight >= 1 && inFlight <= 64, `1 to 64 requests can be in flight, not ${inFlight}`);
    held.inFlight.push(inFlight);
    return requests.map(answerTo);
  },
  begin(request) {
    held.numbers += 1;
    held.begun.set(held.numbers, answerTo(request));
    held.inFlight.push(held.begun.size);
    return held.numbers;
  },
  /** The newest first: a plugin must not lean on their order. */
  next() {
    const number = [...held.begun.keys()].pop();
    if (number === undefined) return null;
    const answer = held.begun.get(number);
    held.begun.delete(number);
    return [number, answer];
  },
};
