/**
 * Write a Crossdock plugin in JavaScript or TypeScript.
 *
 * A plugin is a package whose entry has a default export that one of `defineTransformer`, `defineSource` and
 * `defineDestination` made. `crossdock plugin build` makes a component of it; `@crossdock/sdk/testing` tries it under
 * `node --test` as it is.
 *
 * Plugins are synchronous: no function returns a promise, and `http.send` waits by itself. What must survive belongs into a
 * checkpoint, a receipt or `state`: the host makes new instances whenever it likes, and variables are lost with them.
 *
 * An error that nobody catches ends the instance. The host shows its message and where it came from in your own files, and
 * goes on with a fresh one; of a pure transformer's batch only the record that brings the error fails.
 */

/** JSON Schema (draft 2020-12) of the settings object. The host checks the settings against it before the plugin sees them. */
export type SettingsSchema = { [key: string]: unknown };

/** One thing that the plugin wants to be granted; the text says what for. The route grants it, nothing does so by itself. */
export type Want = { http: string } | { secret: string };

/** What an instance works with. */
export interface Context<Settings, Prepared> {
  /** The settings of the route, which fit the schema. Defaults of the schema are not filled in. */
  readonly settings: Settings;
  /** What `prepare` returned. */
  readonly prepared: Prepared;
}

interface Definition<Settings, Prepared> {
  /** One line for people on what the plugin does. */
  summary: string;
  /** What a route may set. Without it: nothing. */
  settings?: SettingsSchema;
  /** What it wants to be granted. A transformer normally wants nothing. */
  wants?: Want[];
  /** The most records it takes, or gives, in one batch: 1 to 10,000. 1,000 unless told. */
  maxBatch?: number;
  /**
   * Called once in each instance, before anything else. What it returns is `prepared`. Must not change anything outside.
   * A `Failure`, or `CallError.invalidSettings`, thrown here is a mistake in the route and shown as one.
   */
  prepare?(settings: Settings): Prepared;
  /**
   * Whether everything that is needed can be used now: reachable, credentials accepted. Returns if so; throws a `CallError`
   * or `Failure` if not. Must not change anything there.
   */
  check?(context: Context<Settings, Prepared>): void;
  /** Called before the instance is thrown away in good order. It may never be called. */
  close?(context: Context<Settings, Prepared>): void;
}

/** A plugin, to be the default export of the entry. */
export interface Plugin<Role extends "source" | "transformer" | "destination", Settings = any> {
  readonly role: Role;
  readonly summary: string;
  /** Only for types. */
  readonly __settings?: Settings;
}

// ---------------------------------------------------------------------------------------------------------- records

/**
 * Something that the plugin stored earlier: a checkpoint, a receipt, a value of `state`. An older version of it may have
 * written it: say which shape you expect. A checkpoint that has another one is refused as `checkpoint-refused`, a receipt
 * rejected as `receipt-unreadable`.
 */
export interface Stored {
  readonly bytes: Uint8Array;
  /** The bytes as text. Throws if they are none. */
  readonly text: string;
  /** The bytes as JSON, of this shape. Throws if they are none. */
  json<const S extends Shape>(shape: S): Shaped<S>;
  json<T = any>(): T;
}

/**
 * The shape that JSON is expected to have: the name of a kind (with `?` if it may be left out or be null), a list with the
 * shape of its elements, or an object with those of its members. Members that are not named are passed over.
 */
export type Shape = ShapeKind | readonly [Shape] | { readonly [name: string]: Shape };
type Kind = "string" | "number" | "integer" | "boolean" | "any";
type ShapeKind = Kind | `${Kind}?`;

/** The type of a value that has a shape. */
export type Shaped<S> =
  S extends "string" ? string :
  S extends "number" | "integer" ? number :
  S extends "boolean" ? boolean :
  S extends "any" ? any :
  S extends `${infer K}?` ? Shaped<K> | null | undefined :
  S extends readonly [infer E] ? Shaped<E>[] :
  S extends object ? { -readonly [N in keyof S]: Shaped<S[N]> } :
  never;

/** One record of a batch. Nothing of it is decoded before it is asked for. */
export interface Record {
  /** The record's stable identity at its origin. */
  readonly id: string;
  /** The content, whatever the step before made of it. A view: copy what is to be kept. */
  readonly bytes: Uint8Array;
  /** The content as text. A payload that is none is rejected as `not-utf-8`. */
  readonly text: string;
  /**
   * The content as JSON. A payload that is none is rejected as `not-json`; with a shape, one of another shape as
   * `unexpected-json`, with a pointer to the place. Numbers are those of JavaScript: beyond 2^53 they are rounded.
   */
  json<const S extends Shape>(shape: S): Shaped<S>;
  json<T = any>(): T;
  /** A further value of the record, for example `steps.reserve.target_id`, if it has that one. */
  attribute(name: string): string | undefined;
  attributeBytes(name: string): Uint8Array | undefined;
  /** All further values of the record. */
  readonly attributes: { [name: string]: string };
  /**
   * The idempotency key, 32 hexadecimal digits: the same for every attempt to write this record at this step. Empty in
   * transformers.
   */
  readonly key: string;
  /** The host's name for the record in this batch. Without meaning beyond it. */
  readonly handle: number;
  /** The position in the batch, from 0. */
  readonly index: number;
}

/** One applied record that is to be undone. */
export interface UndoRecord {
  readonly id: string;
  /** The idempotency key under which it was written. */
  readonly key: string;
  /** The id that the other system gave it; empty if none. */
  readonly targetId: string;
  /** What the destination left behind to undo it; null if nothing. */
  readonly receipt: Stored | null;
  readonly handle: number;
  readonly index: number;
}

// --------------------------------------------------------------------------------------------------------- failures

/** What may go with a failure. */
export interface FailureMore {
  /** Evidence, for example what the other system answered. The host keeps 8 KiB. */
  detail?: string;
  /** RFC 6901 pointer to the field to blame, within the payload as it was given: `/items/0/price`. */
  pointer?: string;
  /** When another attempt may be useful, in milliseconds from now. Honoured up to the route's `retry.max`. */
  retryAfterMs?: number;
}

/**
 * Why a record did not succeed, to be thrown. The outcome decides what happens next: `rejected` records are kept for people,
 * `retryable` ones tried again, `unauthorized` ones hold up the connector, `unknown` ones may have been applied.
 */
export class Failure extends Error {
  /** `code` is stable and machine-readable, 1 to 64 of `a-z 0-9 - .`; people count by it, so it must not contain values. */
  constructor(code: string, message: string, more?: FailureMore & { outcome?: Failure["outcome"] });
  readonly code: string;
  readonly outcome: "rejected" | "retryable" | "unauthorized" | "unknown";
  readonly detail?: string;
  readonly pointer?: string;
  readonly retryAfterMs?: number;
}

/** The record will never be accepted as it is. */
export function reject(code: string, message: string, more?: FailureMore): Failure;
/** It was certainly not applied, and may be later. */
export function retry(code: string, message: string, more?: FailureMore): Failure;
/** It was certainly not applied; credentials were refused. Destinations only. */
export function unauthorized(code: string, message: string, more?: FailureMore): Failure;
/** It was sent, and what became of it is not known. Destinations only. */
export function unknown(code: string, message: string, more?: FailureMore): Failure;

export type ErrorKind =
  "invalid-settings" | "unauthorized" | "unavailable" | "checkpoint-refused" | "not-granted" | "internal";

/**
 * Why a whole call could not be answered, to be thrown. From `write` it is a promise that no record of the batch took
 * effect. Each maker takes a `Failure`, or just text: then the code is the kind.
 */
export class CallError extends Error {
  constructor(kind: ErrorKind, why: string | Failure);
  readonly kind: ErrorKind;
  readonly failure: Failure;
  /** The settings do not make sense; only a person can mend them. */
  static invalidSettings(why: string | Failure): CallError;
  /** The other system refused the credentials. */
  static unauthorized(why: string | Failure): CallError;
  /** The other system, or something else outside the plugin, cannot be used now. */
  static unavailable(why: string | Failure): CallError;
  /** The checkpoint does not fit what the source finds. Only a person can decide what to do. */
  static checkpointRefused(why: string | Failure): CallError;
  /** A directory, an address or a secret is not granted. */
  static notGranted(why: string | Failure): CallError;
  /** Anything else. */
  static internal(why: string | Failure): CallError;
}

// ------------------------------------------------------------------------------------------------------ transformers

/** Where a transformer writes what a record becomes. More than one output splits it: the parts are `id/1`, `id/2`, … */
export interface Output {
  /** One output: JSON text of the value. */
  json(value: unknown): void;
  /** One output: this text. */
  text(text: string): void;
  /** One output: these bytes. */
  bytes(bytes: Uint8Array): void;
  /** One output: the record's payload as it came. */
  copy(record: Record): void;
  /** A further value of the output given last; before any output, of the first one. An empty value removes it. */
  attribute(name: string, value: string | Uint8Array): void;
  /** The record is filtered out. Anything written for it is forgotten. */
  drop(): void;
}

export interface TransformerDefinition<Settings, Prepared> extends Definition<Settings, Prepared> {
  /**
   * Whether the answer depends on records and settings only (that is so unless told): then the host may ask again, and cut a
   * batch into smaller ones. Say no if the answer comes from elsewhere, for example over HTTP.
   */
  pure?: boolean | ((settings: Settings) => boolean);
  /**
   * Transforms one record: writes to `out`, or calls `out.drop()`. A `Failure` that is thrown is the record's outcome. A
   * record for which nothing was written is rejected as `no-output`.
   */
  transform(record: Record, out: Output, context: Context<Settings, Prepared>): void;
}

/** Changes, drops or splits records. */
export function defineTransformer<Settings = any, Prepared = undefined>(
  definition: TransformerDefinition<Settings, Prepared>,
): Plugin<"transformer", Settings>;

// ----------------------------------------------------------------------------------------------------------- sources

/** What comes after a page: ask again at once, nothing more at the moment, nothing more ever. */
export type More = "more" | "idle" | "end";

/** A record as a source gives it: an id, and one of `json`, `text` and `bytes`. */
export interface NewRecord {
  /**
   * Its stable identity, 1 to 512 bytes without control characters: the same record has the same id whenever it is read
   * again, and no two records of the source share one.
   */
  id: string;
  json?: unknown;
  text?: string;
  bytes?: Uint8Array;
  attributes?: { [name: string]: string | Uint8Array };
  /** Records with the same order key are kept in order. */
  orderKey?: string;
  /** It was found and cannot be read; the payload holds what was found. The host keeps it as rejected, the others pass. */
  unreadable?: Failure;
}

/** The page that a source fills. */
export interface Page {
  /** How much it may hold; the smaller limit counts. `maxBytes` is of ids and payloads together. */
  readonly limits: { readonly maxRecords: number; readonly maxBytes: number };
  /** How many records it has. */
  readonly length: number;
  /** How many bytes ids and payloads have together. */
  readonly bytes: number;
  /** Whether it must not get any more records. */
  readonly isFull: boolean;
  /** Whether a record of this many bytes still fits. An empty page takes a record of any size. */
  fits(bytes: number): boolean;
  /** Adds a record, and says whether it did: if there is no room it is not added, and belongs on the next page. */
  add(record: NewRecord): boolean;
  /**
   * The position after this page: what `read` is given to go on from here. Text, bytes, or anything that is JSON; at most
   * 64 KiB. A page with records must move it.
   */
  checkpoint(position: unknown): void;
}

export interface SourceDefinition<Settings, Prepared> extends Definition<Settings, Prepared> {
  /** Whether reading again from an older checkpoint gives the same records with the same ids. */
  reReads: boolean | ((settings: Settings) => boolean);
  /**
   * Reads the page after a checkpoint; null is the beginning. After a crash or a stop it is given an older one. Must not
   * change anything at the origin; that is what `ack` is for. A `CallError` or `Failure` that is thrown means that nothing
   * could be read; records added before are forgotten and read again later.
   */
  read(checkpoint: Stored | null, page: Page, context: Context<Settings, Prepared>): More;
  /** All records up to this checkpoint are settled or kept safely, and that is on disk. */
  ack?(checkpoint: Stored, context: Context<Settings, Prepared>): void;
}

/** Brings records in. */
export function defineSource<Settings = any, Prepared = undefined>(
  definition: SourceDefinition<Settings, Prepared>,
): Plugin<"source", Settings>;

// ------------------------------------------------------------------------------------------------------ destinations

declare class Answer<Name extends string> {
  readonly name: Name;
}

/** The id that the other system gave a record (at most 512 bytes), and what is needed to undo it. */
export interface Given {
  targetId?: string | number;
  /**
   * What is needed to undo the record, even in a fresh instance, days later: text, bytes, or anything that is JSON. At most
   * 16 KiB.
   */
  receipt?: unknown;
}

/** It was applied; of a record in doubt: it had been. */
export function applied(given?: Given): Answer<"applied">;
/** It was already there as it should be; of undoing: there was nothing left to undo. */
export function unchanged(given?: Given): Answer<"unchanged">;
/** Nothing was sent for it. It is given again later, without an attempt being counted. */
export function untouched(): Answer<"untouched">;
/** It is undone. */
export function undone(): Answer<"undone">;
/** Of a record in doubt: it was not applied. */
export function notApplied(): Answer<"notApplied">;

export type WriteAnswer = Answer<"applied" | "unchanged" | "untouched"> | Answer<"applied"> | Answer<"unchanged"> | Answer<"untouched"> | Failure;
export type UndoAnswer = Answer<"undone"> | Answer<"unchanged"> | Answer<"untouched"> | Failure;
export type ProbeAnswer = Answer<"applied"> | Answer<"notApplied"> | Failure;

/**
 * What became of the records of a batch, to be filled. A record of which nothing was said is answered as `unknown`: whether
 * something was done for it, nobody can tell.
 */
export interface Answers<R, A> {
  readonly records: readonly R[];
  /** Says what became of a record. A later word replaces an earlier one. */
  set(record: R, answer: A): void;
  /** Whether nothing was said of a record yet. */
  isOpen(record: R): boolean;
  /** Whether at least this much is left of the call's time (1,000 ms unless told), and the run was not asked to stop. */
  inTime(reserveMs?: number): boolean;
  /**
   * Answers one record after the other with what the function returns or throws. Stops at the first failure if that is asked
   * for, and when `reserveMs` (1,000 unless told) is no longer left: give what one record may take at worst. The rest is
   * untouched. An error that is no `Failure` makes its record `unknown`, with the code `uncaught-error`; the others go on.
   */
  oneByOne(each: (record: R) => A): void;
  oneByOne(reserveMs: number, each: (record: R) => A): void;
}

export interface WriteAnswers extends Answers<Record, WriteAnswer> {
  /**
   * Later records must not be touched once one is not applied: write strictly in order, stop at the first that is neither
   * applied nor unchanged, leave the rest untouched. `oneByOne` and `http.inParallel` do.
   */
  readonly stopAtFirstFailure: boolean;
  /** Says `untouched` of every record of which nothing was said. */
  leaveRestUntouched(): void;
}

export interface UndoAnswers extends Answers<UndoRecord, UndoAnswer> {
  leaveRestUntouched(): void;
}

export interface ProbeAnswers extends Answers<Record, ProbeAnswer> {}

export interface DestinationDefinition<Settings, Prepared> extends Definition<Settings, Prepared> {
  /**
   * What helps to take effect once: the other system recognises `record.key`; writing again changes nothing; it can be
   * asked (`probe`); nothing. Say the truth: the host relies on it when it decides whether to try again.
   */
  idempotency: Idempotency | ((settings: Settings) => Idempotency);
  /** What happens when a write stops in the middle. */
  atomicity: Atomicity | ((settings: Settings) => Atomicity);
  /** Writes a batch, and says what became of each record. */
  write(records: readonly Record[], answers: WriteAnswers, context: Context<Settings, Prepared>): void;
  /**
   * Undoes records, newest first. Called possibly more than once for the same record, possibly in another instance and long
   * after the write: undoing twice must be harmless.
   */
  compensate?(records: readonly UndoRecord[], answers: UndoAnswers, context: Context<Settings, Prepared>): void;
  /** Whether records can be undone with these settings. Yes, if there is `compensate`, unless told. */
  compensates?: boolean | ((settings: Settings) => boolean);
  /** Finds out whether records were applied, with the keys they were written under. Must not change anything. */
  probe?(records: readonly Record[], answers: ProbeAnswers, context: Context<Settings, Prepared>): void;
}

export type Idempotency = "native-key" | "upsert" | "probe" | "none";
export type Atomicity = "atomic" | "per-record" | "best-effort";

/** Writes records to another system. */
export function defineDestination<Settings = any, Prepared = undefined>(
  definition: DestinationDefinition<Settings, Prepared>,
): Plugin<"destination", Settings>;

// -------------------------------------------------------------------------------------------------------------- http

/** The value of a header or query field: text, or a secret that the host puts in. Undefined ones are left out. */
export type FieldValue = string | number | boolean | secrets.SecretText | null | undefined;
export type Fields = { [name: string]: FieldValue } | [name: string, value: FieldValue][];

export interface Request {
  /** In capitals. GET unless told. */
  method?: string;
  /** Absolute, at most 8 KiB. */
  url: string;
  /** Added to the query of `url`; the host encodes it. */
  query?: Fields;
  /** `host`, `content-length`, `connection` and other hop-by-hop headers are refused. */
  headers?: Fields;
  /** The body as JSON; sets `content-type` if there is none. */
  json?: unknown;
  /** The body: text, bytes, or anything that is JSON. */
  body?: unknown;
  /** From sending to the last byte of the answer. 30,000 unless told; never more than what is left of the call's time. */
  timeoutMs?: number;
  /** The record that it is made for: puts the exchange into the record's history. */
  record?: Record | UndoRecord;
}

export class Response {
  readonly status: number;
  /** At most 4 MiB after decompression. */
  readonly bytes: Uint8Array;
  /** The body as text; what is not UTF-8 is replaced. */
  readonly text: string;
  /** Whether the status is 2xx. */
  readonly ok: boolean;
  /** The first header of this name. */
  header(name: string): string | undefined;
  /** The body as JSON. One that is none is `http-answer-not-json`, with the outcome `unknown`. */
  json<T = any>(): T;
  /**
   * The response itself if it is 2xx; otherwise throws what the status means: 401, 403, 407 `unauthorized`; 408, 425, 429,
   * 503 `retryable` after `Retry-After`; other 3xx and 4xx, 501, 505 `rejected`; 303 and other 5xx `unknown`, or `retryable`
   * if the request is `repeatable` without harm. The message is the other system's own, if it has one.
   */
  orThrow(more?: { repeatable?: boolean; message?: string; pointer?: string }): this;
  /** How long the answer asks to wait, if it does. */
  readonly retryAfterMs: number | undefined;
}

/** Why there is no answer. Thrown as it is, it says the right thing of the record that the request was for. */
export class HttpError extends Failure {
  readonly kind: "invalid" | "not-granted" | "not-connected" | "no-answer" | "too-large";
  /** Whether the other side may have done something. */
  readonly mayHaveBeenSent: boolean;
}

/** HTTP requests, run by the host: granted addresses only, redirects not followed, sizes and times capped. */
export namespace http {
  /** Sends one request and waits for the answer. Throws an `HttpError` if there is none. */
  function send(request: Request): Response;
  /**
   * Sends the requests, at most `inFlight` at once (1 to 64, 8 unless told), and waits for all: one answer a request, in
   * their order. Errors are returned, not thrown.
   */
  function sendAll(requests: Request[], inFlight?: number): (Response | HttpError)[];
  /** Begins a request and goes on. The number is good for this call. */
  function begin(request: Request): number;
  /** Waits until one of those that were begun has come to its end, whichever; null when all were told. */
  function next(): { begun: number; response: Response; error?: undefined } | { begun: number; response?: undefined; error: HttpError } | null;
  /**
   * One request a record, several at once: as soon as one is answered, the next is begun; one after the other if the host
   * asks to stop at the first failure. `requestFor` may answer a record itself. What is thrown is the record's outcome.
   */
  function inParallel<R extends Record | UndoRecord, A>(
    answers: Answers<R, A>,
    options: { inFlight?: number; reserveMs?: number },
    requestFor: (record: R) => Request | A,
    answerFor: (record: R, response: Response) => A,
  ): void;
}

/** Secrets by name. The plugin works with handles; the host puts the value on the wire. */
export namespace secrets {
  /** A handle for a secret. Throws a `CallError` that names it if it is not granted. Cheap; may be called often. */
  function open(name: string): Secret;
  /** The value of a header or query field with a secret in it. */
  class SecretText {
    private constructor();
  }
  /** A secret; as a value it stands for itself. */
  class Secret extends SecretText {
    readonly name: string;
    /** `Bearer ` and the secret. */
    bearer(): SecretText;
    /** HTTP Basic credentials with the secret as password. */
    basic(user: string): SecretText;
    /** The secret between two texts. */
    within(before: string, after: string): SecretText;
    /** The value itself. Needs the grant `reveal`; most plugins should not ask for it. */
    reveal(): Stored;
  }
}

/**
 * Durable key-value pairs, private to this plugin at this step of this route. Writes become durable together with the
 * outcome of the call that made them, and are forgotten if it fails.
 */
export namespace state {
  /** The value of a key (1 to 256 bytes), or null. */
  function get(key: string): Stored | null;
  /** Sets it: text, bytes, or anything that is JSON. At most 64 KiB, all values together 1 MiB; a Failure otherwise. */
  function set(key: string, value: unknown): void;
  /** Removes it; removing one that is not there is fine. */
  function remove(key: string): void;
}

/** Messages for the person who runs the route. `console` goes here too. */
export namespace log {
  function trace(message: unknown): void;
  function debug(message: unknown): void;
  function info(message: unknown): void;
  function warn(message: unknown): void;
  function error(message: unknown): void;
}

/** Numbers the plugin wants to be seen. Names are 1 to 64 of `a-z 0-9 _`. */
export namespace metrics {
  /** Adds to a counter: 1 unless told. */
  function count(name: string, delta?: number): void;
  function gauge(name: string, value: number): void;
}

/** The clock, and how much time is left. */
export namespace control {
  /** Milliseconds since 1970 on the host's clock. */
  function nowMs(): number;
  /** Milliseconds that are left of the running call before it is interrupted. */
  function remainingMs(): number;
  /** Whether the run was asked to stop. */
  function cancelled(): boolean;
}
