// One answer a record: of a write, of undoing, of asking afterwards.

import { SparseColumn } from "./column.js";
import * as control from "./control.js";
import { describeError } from "./errors.js";
import { CallError, CODES, Failure, recordFailure } from "./failure.js";
import { asAnswer } from "./guard.js";

/** What became of a record that did not fail. Made by the functions below. */
export class Answer {
  constructor(name, code, more = {}) {
    this.name = name;
    this.code = code;
    this.targetId = more.targetId;
    this.receipt = more.receipt;
  }
}

export function applied(more) {
  return new Answer("applied", CODES.ok, more);
}

export function unchanged(more) {
  return new Answer("unchanged", CODES.unchanged, more);
}

export function untouched() {
  return new Answer("untouched", CODES.untouched);
}

export function undone() {
  return new Answer("undone", CODES.ok);
}

export function notApplied() {
  return new Answer("notApplied", CODES.dropped);
}

/** Nothing was said of the record yet. */
const OPEN = 255;

/** How a whole call's error reads for one record of it: nothing was done. */
function ofRecord(error) {
  const { code, message, detail, pointer, retryAfterMs } = error.failure;
  const outcome = error.kind === "unauthorized" ? "unauthorized" : "retryable";
  return new Failure(code, message, { detail, pointer, retryAfterMs, outcome });
}

class Answers {
  constructor(records, names, failures) {
    this.records = records;
    this.names = names;
    this.failureCodes = failures;
    this.stopAtFirstFailure = false;
    this.codes = new Uint8Array(records.length).fill(OPEN);
    this.failures = new Map();
    this.targetIds = new SparseColumn();
    this.receipts = new SparseColumn();
  }

  set(record, answer) {
    const index = record?.index;
    if (this.records[index] !== record) throw new TypeError("answers.set takes a record of this batch first");
    this.failures.delete(index);
    if (answer instanceof Failure) {
      this.codes[index] = this.failureCodes[answer.outcome] ?? CODES.rejected;
      this.failures.set(index, answer);
      this.#values(index, undefined, undefined);
    } else if (answer instanceof Answer && this.names.includes(answer.name)) {
      this.codes[index] = answer.code;
      this.#values(index, answer.targetId, answer.receipt);
    } else {
      throw new TypeError(`an answer here is one of ${this.names.map((name) => `${name}()`).join(", ")} or a Failure`);
    }
  }

  #values(index, targetId, receipt) {
    this.targetIds.set(index, targetId === undefined || targetId === null ? "" : String(targetId));
    this.receipts.set(index, receipt);
  }

  isOpen(record) {
    return this.codes[record.index] === OPEN;
  }

  /** Whether something may have been done already, so that the call as a whole can no longer be refused. */
  get begun() {
    return this.codes.some((code) => code === CODES.ok || code === CODES.unknown);
  }

  /** Whether there is time for one more record. */
  inTime(reserveMs = 1000) {
    return control.remainingMs() >= reserveMs && !control.cancelled();
  }

  /** Runs a function that answers for a record, and turns what it throws into an answer. Whether to go on. */
  answerWith(record, name, answer) {
    let said;
    try {
      said = asAnswer(name, answer());
      if (said === undefined) return true;
      this.set(record, said);
    } catch (error) {
      this.set(record, thrown(error));
    }
    const code = this.codes[record.index];
    return !this.stopAtFirstFailure || code === CODES.ok || code === CODES.unchanged;
  }

  oneByOne(reserveMs, each) {
    if (typeof reserveMs === "function") return this.oneByOne(1000, reserveMs);
    for (const record of this.records) {
      if (!this.inTime(reserveMs)) break;
      const go = this.answerWith(record, "the function for one record", () => each(record) ?? nothingSaid());
      if (!go) break;
    }
    this.leaveRest();
    return undefined;
  }

  finish() {
    for (const record of this.records) {
      if (!this.isOpen(record)) continue;
      this.set(record, new Failure("no-outcome", "the plugin did not say what became of the record", { outcome: "unknown" }));
    }
    const failures = [...this.failures].map(([index, failure]) => recordFailure(this.records[index].handle, failure));
    return { codes: this.codes, failures };
  }
}

function nothingSaid() {
  return new Failure("no-outcome", "the plugin did not say what became of the record", { outcome: "unknown" });
}

/** What was thrown while a record was at work. An error that nobody expected leaves open what was done. */
function thrown(error) {
  if (error instanceof Failure) return error;
  if (error instanceof CallError) return ofRecord(error);
  const { message, stack } = describeError(error);
  return new Failure("uncaught-error", message, { detail: stack, outcome: "unknown" });
}

const FAILURES = {
  rejected: CODES.rejected, retryable: CODES.retryable, unauthorized: CODES.unauthorized, unknown: CODES.unknown,
};

/** What became of the records of a write. */
export class WriteAnswers extends Answers {
  constructor(records, stopAtFirstFailure) {
    super(records, ["applied", "unchanged", "untouched"], FAILURES);
    this.stopAtFirstFailure = stopAtFirstFailure;
  }

  leaveRest() {
    for (const record of this.records) if (this.isOpen(record)) this.set(record, untouched());
  }

  leaveRestUntouched() {
    this.leaveRest();
  }
}

/** What became of the records that were to be undone. */
export class UndoAnswers extends Answers {
  constructor(records) {
    super(records, ["undone", "unchanged", "untouched"], FAILURES);
  }

  leaveRest() {
    for (const record of this.records) if (this.isOpen(record)) this.set(record, untouched());
  }

  leaveRestUntouched() {
    this.leaveRest();
  }
}

/** What was found out about records in doubt. */
export class ProbeAnswers extends Answers {
  constructor(records) {
    super(records, ["applied", "notApplied"], { ...FAILURES, rejected: CODES.unknown });
  }

  leaveRest() {
    const late = new Failure("no-time-left", "there was no time left to ask about the record", { outcome: "retryable" });
    for (const record of this.records) if (this.isOpen(record)) this.set(record, late);
  }
}
