// The books' API.

import { CallError, Failure, secrets, unknown, type Record, type Request, type Response } from "@crossdock/sdk";

/** What is posted. */
export interface Entry {
  reference: string;
  account: string;
  cents: number;
  currency: string;
  text: string;
}

/** Where the books are, and with what to log in. */
export class Books {
  readonly #base: string;
  readonly #key: secrets.Secret;
  readonly #timeoutMs: number;

  constructor(base: string, secret: string, timeoutMs: number) {
    // The host goes by the schema already; a test or another host may not.
    if (!/^https?:\/\//.test(base)) {
      throw CallError.invalidSettings(new Failure("invalid-settings", "base is no address", { pointer: "/base" }));
    }
    this.#base = base.replace(/\/+$/, "");
    this.#key = secrets.open(secret);
    this.#timeoutMs = timeoutMs;
  }

  /** Posting twice under one key enters once. */
  enter(entry: Entry, record: Record): Request {
    return { ...this.#request("POST", "/entries"), headers: { ...this.#login(), "idempotency-key": record.key }, json: entry };
  }

  takeBack(entry: string): Request {
    return this.#request("DELETE", `/entries/${entry}`);
  }

  health(): Request {
    return this.#request("GET", "/health");
  }

  #request(method: string, path: string): Request {
    return { method, url: this.#base + path, headers: this.#login(), timeoutMs: this.#timeoutMs };
  }

  #login() {
    return { authorization: this.#key.bearer() };
  }
}

/** The id of an entry, as the books answer it; one that could lead elsewhere within an address is none. */
export function entryId(response: Response): string {
  const id = member(response, "id");
  if (id !== undefined && /^[A-Za-z0-9_-]{1,64}$/.test(id)) return id;
  // It may be there, and could never be undone: nobody should call that ok.
  throw unknown("answer-without-id", "the books took the entry and gave no id for it", { detail: response.text });
}

/** A pointer to the field of the record that the books blame. */
export function blamed(response: Response): string | undefined {
  if (response.status !== 422) return undefined;
  const field = member(response, "field");
  return field === "cents" || field === "currency" ? `/${field}` : undefined;
}

function member(response: Response, name: string): string | undefined {
  try {
    const value: unknown = response.json()?.[name];
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}
