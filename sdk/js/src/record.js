// Records as a plugin is given them.

import { Values } from "./column.js";
import { Failure } from "./failure.js";
import { checkShape } from "./shape.js";
import { decode } from "./utf8.js";

/**
 * What a plugin stored for itself earlier: a checkpoint, a receipt, a value of its state. An older version of it may have
 * written it, or somebody else: what cannot be read as it is asked for is refused by `refuse`, if there is one.
 */
export class Stored {
  constructor(bytes, refuse) {
    this.bytes = bytes;
    this.refuse = refuse;
  }

  get text() {
    return this.#read(() => decode(this.bytes));
  }

  json(shape) {
    return this.#read(() => {
      const value = JSON.parse(decode(this.bytes));
      if (shape !== undefined) checkShape(value, shape);
      return value;
    });
  }

  #read(read) {
    try {
      return read();
    } catch (error) {
      throw this.refuse === undefined ? error : this.refuse(error.message);
    }
  }
}

/** A receipt that nobody can read can never be undone with. */
function receiptRefused(why) {
  return new Failure("receipt-unreadable", `the receipt is not one of this plugin: ${why}`);
}

function notUtf8(what) {
  return new Failure("not-utf-8", `the ${what} is not text: it is not UTF-8`);
}

export class Record {
  constructor(batch, index) {
    this.batch = batch;
    this.index = index;
  }

  get id() {
    return this.batch.ids.text(this.index);
  }

  get bytes() {
    return this.batch.payloads.bytes(this.index);
  }

  get text() {
    try {
      return this.batch.payloads.text(this.index);
    } catch {
      throw notUtf8("payload");
    }
  }

  json(shape) {
    const text = this.text;
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new Failure("not-json", `the payload is no JSON: ${error.message}`);
    }
    if (shape !== undefined) checkShape(value, shape);
    return value;
  }

  attribute(name) {
    const values = this.batch.attributes.get(name);
    if (values === undefined || values.isEmpty(this.index)) return undefined;
    try {
      return values.text(this.index);
    } catch {
      throw notUtf8(`attribute ${name}`);
    }
  }

  attributeBytes(name) {
    const values = this.batch.attributes.get(name);
    return values === undefined || values.isEmpty(this.index) ? undefined : values.bytes(this.index);
  }

  get attributes() {
    const found = {};
    for (const name of this.batch.attributes.keys()) {
      const value = this.attribute(name);
      if (value !== undefined) found[name] = value;
    }
    return found;
  }

  get key() {
    return this.batch.keys === null ? "" : this.batch.keys.text(this.index);
  }

  get handle() {
    return this.batch.handles[this.index];
  }
}

/** Records handed over together. */
export class Batch {
  constructor(batch, keys) {
    this.handles = batch.handles;
    this.ids = new Values(batch.ids);
    this.payloads = new Values(batch.payloads);
    this.attributes = new Map();
    for (const { name, values } of batch.attributes) this.attributes.set(name, new Values(values));
    this.keys = keys === null ? null : new Values(keys);
  }

  records() {
    const records = [];
    for (let index = 0; index < this.handles.length; index++) records.push(new Record(this, index));
    return records;
  }
}

/** One applied record to undo. */
export class UndoRecord {
  constructor(batch, index) {
    this.batch = batch;
    this.index = index;
  }

  get id() {
    return this.batch.ids.text(this.index);
  }

  get key() {
    return this.batch.keys.text(this.index);
  }

  get targetId() {
    return this.batch.targetIds.text(this.index);
  }

  get receipt() {
    return this.batch.receipts.isEmpty(this.index) ? null : new Stored(this.batch.receipts.bytes(this.index), receiptRefused);
  }

  get handle() {
    return this.batch.handles[this.index];
  }
}

/** Records to undo, newest first. */
export class UndoBatch {
  constructor(batch) {
    this.handles = batch.handles;
    this.ids = new Values(batch.ids);
    this.keys = new Values(batch.keys);
    this.targetIds = new Values(batch.targetIds);
    this.receipts = new Values(batch.receipts);
  }

  records() {
    const records = [];
    for (let index = 0; index < this.handles.length; index++) records.push(new UndoRecord(this, index));
    return records;
  }
}
