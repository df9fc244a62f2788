/**
 * Tries plugins under `node --test`, without WebAssembly and without a host. What a plugin answers is held against the
 * contract: an answer that breaks it throws `broken contract: …`.
 */

import type { Plugin } from "../index.js";

/** A record to be given to a plugin. */
export interface GivenRecord {
  id: string;
  payload: Uint8Array;
  attributes: { [name: string]: string };
  key: string;
}

/** Makes a record: the payload is text, bytes, or anything that is JSON. The key is made from the id unless told. */
export function record(id: string, payload: unknown, more?: { attributes?: { [name: string]: string }; key?: string }): GivenRecord;

/** A failure as the host gets it. */
export interface SeenFailure {
  code: string;
  message: string;
  detail?: string;
  pointer?: string;
  retryAfterMs?: number;
}

/** A whole call that the plugin refused. */
export class Refused extends Error {
  readonly kind: string;
  readonly code: string;
  readonly failure: SeenFailure;
}

export interface Abilities {
  reReads: boolean;
  pure: boolean;
  idempotency: string;
  atomicity: string;
  compensates: boolean;
}

interface Instance {
  readonly abilities: Abilities;
  /** Throws `Refused` if the plugin says that it cannot work now. */
  check(): void;
  close(): void;
}

export interface Part {
  readonly text: string;
  readonly json: any;
  readonly bytes: Uint8Array;
  readonly attributes: { [name: string]: string };
}

export interface Transformed {
  id: string;
  outcome: "ok" | "dropped" | "rejected" | "retryable";
  outputs: Part[];
  failure?: SeenFailure;
}

/** A configured transformer. Settings that do not fit the schema are refused. */
export function transformer<S>(plugin: Plugin<"transformer", S>, settings?: S): Instance & {
  transform(records: GivenRecord[]): Transformed[];
};

export interface Written {
  id: string;
  key: string;
  outcome: "ok" | "unchanged" | "rejected" | "retryable" | "unauthorized" | "unknown" | "untouched" | "dropped";
  targetId: string;
  receipt: string;
  failure?: SeenFailure;
}

export interface Undone {
  id: string;
  outcome: Written["outcome"];
  failure?: SeenFailure;
}

/** A configured destination. `compensate` takes what `write` gave, also in another instance. */
export function destination<S>(plugin: Plugin<"destination", S>, settings?: S): Instance & {
  write(records: GivenRecord[], options?: { stopAtFirstFailure?: boolean }): Written[];
  compensate(written: Written[]): Undone[];
  probe(records: GivenRecord[]): Written[];
};

export interface ReadRecord extends Omit<Part, "attributes"> {
  id: string;
  attributes: { [name: string]: string };
  orderKey: string;
  failure?: SeenFailure;
}

export interface ReadPage {
  records: ReadRecord[];
  checkpoint: Uint8Array;
  more: "more" | "idle" | "end";
}

export interface Limits {
  maxRecords?: number;
  maxBytes?: number;
}

/** A configured source. `readAll` reads page after page until there is no more at the moment. */
export function source<S>(plugin: Plugin<"source", S>, settings?: S): Instance & {
  read(checkpoint?: Uint8Array | null, limits?: Limits): ReadPage;
  readAll(limits?: Limits): ReadPage[];
  ack(checkpoint: Uint8Array): void;
};

/** A request as a test's server sees it, secrets put in. */
export interface SeenRequest {
  method: string;
  url: string;
  headers: { [name: string]: string };
  text: string;
  json(): any;
  timeoutMs?: number;
  handle?: number;
}

/** An answer of a test's server: with `json` or `body`; or why there is none. */
export type TestAnswer =
  | { status?: number; headers?: { [name: string]: string | number }; json?: unknown; body?: string | Uint8Array }
  | "invalid" | "not-granted" | "not-connected" | "no-answer" | "too-large";

/** What the plugin asks of its host. It belongs to the process: `reset` it before each test. */
export const host: {
  /** Forgets everything that was set up or seen. */
  reset(): void;
  /** Sets the clock. It stands still; 0 unless told. */
  nowMs(now: number): void;
  /** Sets the time that is left of each call. It stands still; 30,000 unless told. */
  remainingMs(left: number): void;
  /** Sets whether the run was asked to stop. */
  cancelled(cancelled: boolean): void;
  /** Answers all requests. Until then no address is granted. */
  http(server: (request: SeenRequest) => TestAnswer): void;
  /** Grants a secret. */
  secret(name: string, value: string, more?: { reveal?: boolean }): void;
  setState(key: string, value: unknown): void;
  state(key: string): string | undefined;
  messages(): { level: string; message: string }[];
  counter(name: string): number;
  gauge(name: string): number | undefined;
  /** How many requests were on their way with each that was sent or begun. */
  inFlight(): number[];
};
