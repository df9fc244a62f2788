// One batch through a transformer.

import { ColumnBuilder } from "./column.js";
import { asAnswer } from "./guard.js";
import { CODES, Failure, recordFailure } from "./failure.js";
import { Batch } from "./record.js";
import { bytesOf } from "./utf8.js";

/** Where a transformer writes what a record becomes. */
export class Output {
  constructor() {
    this.payloads = new ColumnBuilder();
    this.set = [];
    this.first = 0;
    this.dropped = false;
  }

  json(value) {
    let text;
    try {
      text = JSON.stringify(value);
    } catch (error) {
      throw new Failure("not-json", `the output cannot be written as JSON: ${error.message}`);
    }
    if (text === undefined) throw new Failure("not-json", `the output cannot be written as JSON: it is ${typeof value}`);
    this.payloads.push(text);
  }

  text(text) {
    this.payloads.push(String(text));
  }

  bytes(bytes) {
    if (!(bytes instanceof Uint8Array)) throw new TypeError("out.bytes takes a Uint8Array");
    this.payloads.push(bytes);
  }

  copy(record) {
    this.payloads.push(record.bytes);
  }

  attribute(name, value) {
    const output = Math.max(this.payloads.length - 1, this.first);
    // Text becomes bytes with all the others, at the end.
    const given = value === undefined || value === null ? "" : value;
    this.set.push({ output, name: String(name), value: typeof given === "string" ? given : bytesOf(given) });
  }

  drop() {
    this.dropped = true;
  }

  /** Forgets what the record at work has given. */
  takeBack() {
    this.payloads.truncate(this.first);
    while (this.set.length > 0 && this.set[this.set.length - 1].output >= this.first) this.set.pop();
  }
}

/** What a transformer can say of a record that did not go through. */
const SAID = { rejected: CODES.rejected, retryable: CODES.retryable, unauthorized: CODES.retryable, unknown: CODES.retryable };

export function transformBatch(transform, wit, context) {
  const batch = new Batch(wit, null);
  const records = batch.records();
  const codes = new Uint8Array(records.length);
  const counts = new Uint32Array(records.length);
  const failures = [];
  const out = new Output();
  let split = false;
  for (const record of records) {
    const index = record.index;
    out.first = out.payloads.length;
    out.dropped = false;
    let failure = null;
    try {
      asAnswer("transform", transform(record, out, context));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      failure = error;
    }
    const given = out.payloads.length - out.first;
    if (failure === null && !out.dropped && given > 0) {
      counts[index] = given;
      split ||= given > 1;
      continue;
    }
    out.takeBack();
    if (failure === null && out.dropped) {
      codes[index] = CODES.dropped;
      continue;
    }
    failure ??= new Failure("no-output", "the transformer gave nothing for the record and did not drop it");
    codes[index] = SAID[failure.outcome] ?? CODES.rejected;
    failures.push(recordFailure(record.handle, failure));
  }
  const attributes = out.set.length === 0 ? [] : attributesOf(batch, out.set, counts);
  return {
    handles: Uint32Array.from(wit.handles),
    codes,
    outputs: split ? counts : new Uint32Array(0),
    payloads: out.payloads.finish(),
    attributes,
    failures,
  };
}

/** The attributes of all outputs: those of the records they came from, and over them those that were set. */
function attributesOf(batch, set, counts) {
  const parents = [];
  counts.forEach((count, index) => {
    for (let i = 0; i < count; i++) parents.push(index);
  });
  const names = new Set([...batch.attributes.keys(), ...set.map(({ name }) => name)]);
  return [...names].map((name) => {
    const had = batch.attributes.get(name);
    const column = new ColumnBuilder();
    for (const parent of parents) column.push(had === undefined || had.isEmpty(parent) ? "" : had.bytes(parent));
    for (const { output, name: of, value } of set) if (of === name) column.values[output] = value;
    return { name, values: column.finish() };
  });
}
