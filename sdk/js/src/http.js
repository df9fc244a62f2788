// HTTP requests, run by the host.

import * as control from "./control.js";
import { http as host } from "#host/http";
import { Answer } from "./answers.js";
import { Failure } from "./failure.js";
import { SecretText } from "./secrets.js";
import { bytesOf, decodeLossy } from "./utf8.js";

const WHY = {
  invalid: ["http-invalid-request", "rejected", (why) => `the request is malformed: ${why}`],
  "not-granted": ["http-not-granted", "retryable", (what) => `the grant does not cover this address: ${what}`],
  "not-connected": ["http-not-connected", "retryable", (why) => `no connection was made: ${why}`],
  "no-answer": ["http-no-answer", "unknown", (why) => `the request may have been sent, and no complete answer came: ${why}`],
  "too-large": ["http-answer-too-large", "unknown", (status) => `the answer, with status ${status}, is larger than allowed`],
};

export class HttpError extends Failure {
  constructor(kind, what) {
    const [code, outcome, text] = WHY[kind] ?? WHY["no-answer"];
    super(code, text(what), { outcome });
    this.name = "HttpError";
    this.kind = kind;
    this.callKind = { "not-granted": "not-granted", invalid: "invalid-settings" }[kind] ?? "unavailable";
  }

  get mayHaveBeenSent() {
    return this.kind === "no-answer" || this.kind === "too-large";
  }
}

/** As much of an answer is kept as evidence. */
const DETAIL_MAX_CHARS = 4096;
const MESSAGE_MAX_CHARS = 500;

/** Where APIs say in words what was wrong: RFC 9457's `detail` and `title`, and what others use. */
const WORDS = ["detail", "message", "error", "error_description", "title"];

export class Response {
  constructor({ status, headers, body }) {
    this.status = status;
    this.headerList = headers;
    this.bytes = body;
  }

  get ok() {
    return this.status >= 200 && this.status < 300;
  }

  header(name) {
    const wanted = name.toLowerCase();
    return this.headerList.find(([known]) => known === wanted)?.[1];
  }

  get text() {
    return decodeLossy(this.bytes);
  }

  json() {
    try {
      return JSON.parse(this.text);
    } catch (error) {
      const detail = this.text.slice(0, DETAIL_MAX_CHARS);
      throw new Failure("http-answer-not-json", `the answer is no JSON: ${error.message}`, { detail, outcome: "unknown" });
    }
  }

  orThrow({ repeatable = false, message, pointer } = {}) {
    if (this.ok) return this;
    const outcome = outcomeOf(this.status, repeatable);
    const words = message ?? this.#words() ?? `the answer has the status ${this.status}`;
    const failure = new Failure(`http-${this.status}`, words, {
      outcome,
      pointer,
      detail: this.text.slice(0, DETAIL_MAX_CHARS) || undefined,
      retryAfterMs: outcome === "retryable" || outcome === "unauthorized" ? this.retryAfterMs : undefined,
    });
    failure.callKind = outcome === "unauthorized" ? "unauthorized" : "unavailable";
    throw failure;
  }

  /** What the other system says was wrong, if it answered with JSON that has some words. */
  #words() {
    let told;
    try {
      told = JSON.parse(this.text);
    } catch {
      return undefined;
    }
    const found = WORDS.map((name) => told?.[name] ?? told?.error?.[name]).find((text) => typeof text === "string" && text !== "");
    return found?.replace(/\s+/g, " ").slice(0, MESSAGE_MAX_CHARS);
  }

  get retryAfterMs() {
    const value = this.header("retry-after")?.trim();
    if (value === undefined || value === "") return undefined;
    if (/^\d+$/.test(value)) return Number(value) * 1000;
    const until = Date.parse(value);
    return Number.isNaN(until) ? undefined : Math.max(0, until - control.nowMs());
  }
}

/**
 * What a status says of the record that was sent. A server that answers 500 may have done its work before it broke, and
 * a gateway that answers 502 or 504 has lost sight of one that may go on; 503 and 429 say that it was not begun.
 */
function outcomeOf(status, repeatable) {
  if (status === 401 || status === 403 || status === 407) return "unauthorized";
  if (status === 408 || status === 425 || status === 429 || status === 503) return "retryable";
  // "Look there": it may be done, or not.
  if (status === 303) return "unknown";
  if (status >= 500 && status < 600 && status !== 501 && status !== 505) return repeatable ? "retryable" : "unknown";
  return "rejected";
}

function fieldsOf(fields) {
  if (fields === undefined) return [];
  const list = Array.isArray(fields) ? fields : Object.entries(fields);
  return list.filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => ({
    name,
    value: value instanceof SecretText ? value.toWit() : { tag: "text", val: String(value) },
  }));
}

function hasHeader(headers, name) {
  return headers.some((field) => field.name.toLowerCase() === name);
}

/** A request as the contract has it. */
function requestOf(request) {
  const { method, url, query, headers, json, body, timeoutMs, record } = request;
  const fields = fieldsOf(headers);
  let bytes = new Uint8Array(0);
  if (json !== undefined) {
    bytes = bytesOf(JSON.stringify(json));
    if (!hasHeader(fields, "content-type")) {
      fields.push({ name: "content-type", value: { tag: "text", val: "application/json" } });
    }
  } else if (body !== undefined) {
    bytes = bytesOf(body);
  }
  return {
    method: method ?? "GET",
    url: String(url),
    query: fieldsOf(query),
    headers: fields,
    body: bytes,
    timeoutMs: timeoutMs === undefined ? null : Math.round(timeoutMs),
    handle: record === undefined ? null : record.handle | 0,
  };
}

/** An answer of the host: a response, or an error that is returned and not thrown. */
function answerOf(result) {
  return result.tag === "ok" ? new Response(result.val) : new HttpError(result.val.tag, result.val.val);
}

export function send(request) {
  const [answer] = sendAll([request], 1);
  if (answer instanceof HttpError) throw answer;
  return answer;
}

export function sendAll(requests, inFlight = 8) {
  return host.send(requests.map(requestOf), inFlight).map(answerOf);
}

export function begin(request) {
  return host.begin(requestOf(request));
}

export function next() {
  const told = host.next();
  if (told === null || told === undefined) return null;
  const [begun, result] = told;
  const answer = answerOf(result);
  return answer instanceof HttpError ? { begun, error: answer } : { begun, response: answer };
}

export function inParallel(answers, options, requestFor, answerFor) {
  const inFlight = answers.stopAtFirstFailure ? 1 : (options.inFlight ?? 8);
  const waiting = new Map();
  let going = true;
  let at = 0;
  for (;;) {
    while (going && at < answers.records.length && waiting.size < inFlight) {
      if (!answers.inTime(options.reserveMs)) {
        going = false;
        break;
      }
      const record = answers.records[at++];
      const go = answers.answerWith(record, "the function that makes a request", () => {
        const request = requestFor(record);
        if (request instanceof Answer || request instanceof Failure) return request;
        waiting.set(begin({ record, ...request }), record);
        return undefined;
      });
      going &&= go;
    }
    if (waiting.size === 0) break;
    const told = next();
    if (told === null) break;
    const record = waiting.get(told.begun);
    if (record === undefined) continue;
    waiting.delete(told.begun);
    const go = answers.answerWith(record, "the function that reads an answer", () => {
      if (told.error !== undefined) throw told.error;
      return answerFor(record, told.response);
    });
    going &&= go;
  }
  for (const record of waiting.values()) answers.set(record, new HttpError("no-answer", "the host told no end of the request"));
  answers.leaveRest();
}
