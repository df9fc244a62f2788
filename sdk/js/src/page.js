// The page that a source fills.

import { ColumnBuilder, noColumn, SparseColumn } from "./column.js";
import { Failure, failureToWit } from "./failure.js";
import { bytesOf, encode } from "./utf8.js";

export class Page {
  constructor(limits) {
    this.limits = limits;
    this.ids = new ColumnBuilder();
    this.payloads = new ColumnBuilder();
    this.orderKeys = new SparseColumn();
    this.attributes = new Map();
    this.unreadable = [];
    this.position = null;
    this.bytes = 0;
  }

  get length() {
    return this.ids.length;
  }

  get isFull() {
    return this.length >= this.limits.maxRecords || this.bytes >= this.limits.maxBytes;
  }

  fits(bytes) {
    return this.length === 0 || (this.length < this.limits.maxRecords && this.bytes + bytes <= this.limits.maxBytes);
  }

  /** Adds a record if there is room for it; an empty page takes a record of any size. */
  add({ id, json, text, bytes, attributes, orderKey, unreadable }) {
    const index = this.length;
    const idBytes = encode(String(id));
    const payload = payloadOf(json, text, bytes);
    if (!this.fits(idBytes.length + payload.length)) return false;
    this.ids.push(idBytes);
    this.payloads.push(payload);
    this.bytes += idBytes.length + payload.length;
    if (orderKey !== undefined) this.orderKeys.set(index, String(orderKey));
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (!this.attributes.has(name)) this.attributes.set(name, new SparseColumn());
      this.attributes.get(name).set(index, value);
    }
    if (unreadable !== undefined) {
      if (!(unreadable instanceof Failure)) throw new TypeError("`unreadable` takes a Failure that says why");
      this.unreadable.push({ index, failure: failureToWit(unreadable) });
    }
    return true;
  }

  checkpoint(position) {
    this.position = bytesOf(position);
  }

  finish(before, more) {
    const length = this.length;
    const column = ([name, values]) => ({ name, values: values.finish(length) });
    const orderKeys = this.orderKeys.values === null ? noColumn() : this.orderKeys.finish(length);
    return {
      ids: this.ids.finish(),
      payloads: this.payloads.finish(),
      attributes: [...this.attributes].filter(([, values]) => values.values !== null).map(column),
      orderKeys,
      unreadable: this.unreadable,
      checkpoint: this.position ?? before ?? new Uint8Array(0),
      more,
    };
  }
}

function payloadOf(json, text, bytes) {
  const given = [json, text, bytes].filter((value) => value !== undefined);
  if (given.length !== 1) throw new TypeError("a record has one of `json`, `text` and `bytes`");
  if (text !== undefined) return encode(String(text));
  if (bytes !== undefined) return bytesOf(bytes);
  const written = JSON.stringify(json);
  if (written === undefined) throw new TypeError(`\`json\` cannot be written as JSON: it is ${typeof json}`);
  return encode(written);
}
