// Why something did not succeed: for one record (`Failure`), for a whole call (`CallError`).

/** Codes of the contract. */
export const CODES = {
  ok: 0, unchanged: 1, dropped: 2, rejected: 3, retryable: 4, unauthorized: 5, unknown: 6, untouched: 7,
};

export class Failure extends Error {
  constructor(code, message, more = {}) {
    super(message);
    this.name = "Failure";
    this.code = code;
    this.outcome = more.outcome ?? "rejected";
    this.detail = more.detail;
    this.pointer = more.pointer;
    this.retryAfterMs = more.retryAfterMs;
  }
}

export function reject(code, message, more) {
  return new Failure(code, message, { ...more, outcome: "rejected" });
}

export function retry(code, message, more) {
  return new Failure(code, message, { ...more, outcome: "retryable" });
}

export function unauthorized(code, message, more) {
  return new Failure(code, message, { ...more, outcome: "unauthorized" });
}

export function unknown(code, message, more) {
  return new Failure(code, message, { ...more, outcome: "unknown" });
}

export class CallError extends Error {
  constructor(kind, why) {
    const failure = typeof why === "string" ? new Failure(kind, why) : why;
    super(failure.message);
    this.name = "CallError";
    this.kind = kind;
    this.failure = failure;
  }

  static invalidSettings(why) {
    return new CallError("invalid-settings", why);
  }

  static unauthorized(why) {
    return new CallError("unauthorized", why);
  }

  static unavailable(why) {
    return new CallError("unavailable", why);
  }

  static checkpointRefused(why) {
    return new CallError("checkpoint-refused", why);
  }

  static notGranted(why) {
    return new CallError("not-granted", why);
  }

  static internal(why) {
    return new CallError("internal", why);
  }
}

/** The kind of a whole call's error that a failure makes, where the call cannot answer record by record. */
const KINDS = { unauthorized: "unauthorized", retryable: "unavailable", unknown: "unavailable" };

/** What was thrown out of a call that has no answer for single records, as an error of that call; anything else as it is. */
export function asCallError(thrown, otherwise = "internal") {
  if (!(thrown instanceof Failure)) return thrown;
  return new CallError(thrown.callKind ?? KINDS[thrown.outcome] ?? otherwise, thrown);
}

/** A failure as the contract has it. */
export function failureToWit(failure) {
  const text = (value) => (value === undefined || value === null ? null : String(value));
  const wait = failure.retryAfterMs;
  return {
    code: String(failure.code),
    message: String(failure.message),
    detail: text(failure.detail),
    pointer: text(failure.pointer),
    retryAfterMs: typeof wait === "number" && wait >= 0 ? Math.min(Math.round(wait), Number.MAX_SAFE_INTEGER) : null,
  };
}

export function callErrorToWit(error) {
  return { kind: error.kind, failure: failureToWit(error.failure) };
}

/** Names the record of a failure. The engine takes a number of 32 bits by its sign, the contract does not. */
export function recordFailure(handle, failure) {
  return { handle: handle | 0, failure: failureToWit(failure) };
}
