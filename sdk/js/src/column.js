// Columns as they cross the boundary: the bytes of all values one after the other, and where each begins.

import { bytesOf, decode, encode, hasCoders, isAscii, latin1ToText, toLatin1 } from "./utf8.js";

/** As much of a column is made a string at once: few calls, and never a second copy of the whole batch. */
const SLAB_BYTES = 256 * 1024;

/** Reads a column. Nothing is decoded before it is asked for, and then for many values at once. */
export class Values {
  constructor(column) {
    this.data = column.data;
    this.offsets = column.offsets;
    this.slab = "";
    this.slabStart = 0;
    this.slabEnd = -1;
    this.slabAscii = true;
  }

  get length() {
    return this.offsets.length - 1;
  }

  /** A view of a value's bytes; a column of no values has an empty one for each record. */
  bytes(index) {
    if (index >= this.offsets.length - 1) return new Uint8Array(0);
    return this.data.subarray(this.offsets[index], this.offsets[index + 1]);
  }

  isEmpty(index) {
    return index >= this.offsets.length - 1 || this.offsets[index] === this.offsets[index + 1];
  }

  /** A value's text. Throws if it is not UTF-8. */
  text(index) {
    const offsets = this.offsets;
    if (index >= offsets.length - 1) return "";
    const start = offsets[index];
    const end = offsets[index + 1];
    if (start === end) return "";
    if (hasCoders) return decode(this.data.subarray(start, end));
    if (start < this.slabStart || end > this.slabEnd) this.#load(index);
    const latin1 = this.slab.substring(start - this.slabStart, end - this.slabStart);
    return this.slabAscii ? latin1 : latin1ToText(latin1);
  }

  /** Makes a string of the values from this one on: as many as there is room for, at least this one. */
  #load(index) {
    const offsets = this.offsets;
    const start = offsets[index];
    let last = index + 1;
    while (last + 1 < offsets.length && offsets[last + 1] - start <= SLAB_BYTES) last++;
    const bytes = this.data.subarray(start, offsets[last]);
    this.slab = toLatin1(bytes);
    this.slabAscii = isAscii(bytes);
    this.slabStart = start;
    this.slabEnd = offsets[last];
  }
}

/** A column of no values. */
export function noColumn() {
  return { data: new Uint8Array(0), offsets: new Uint32Array(1) };
}

/** Writes a column, value after value: texts and bytes. Texts become bytes together, at the end. */
export class ColumnBuilder {
  constructor() {
    this.values = [];
  }

  get length() {
    return this.values.length;
  }

  push(value) {
    this.values.push(value);
  }

  truncate(length) {
    this.values.length = length;
  }

  finish() {
    const values = this.values;
    const offsets = new Uint32Array(values.length + 1);
    const data = hasCoders ? null : together(values, offsets);
    if (data !== null) return { data, offsets };
    let end = 0;
    for (let i = 0; i < values.length; i++) {
      if (typeof values[i] === "string") values[i] = encode(values[i]);
      end += values[i].length;
      offsets[i + 1] = end;
    }
    const joined = new Uint8Array(end);
    for (let i = 0; i < values.length; i++) joined.set(values[i], offsets[i]);
    return { data: joined, offsets };
  }
}

/** The bytes of all values if all are texts of ASCII, which then need no look at each; otherwise null. */
function together(values, offsets) {
  let end = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value !== "string") return null;
    end += value.length;
    offsets[i + 1] = end;
  }
  const data = encode(values.join(""));
  return data.length === end && isAscii(data) ? data : null;
}

/** A column of which any value may be set, in any order. */
export class SparseColumn {
  constructor() {
    this.values = null;
  }

  set(index, value) {
    const bytes = value === undefined || value === null ? "" : bytesOf(value);
    if (this.values === null) {
      if (bytes.length === 0) return;
      this.values = [];
    }
    while (this.values.length <= index) this.values.push("");
    this.values[index] = bytes;
  }

  /** The column with `length` values; one of no values if none was ever set. */
  finish(length) {
    if (this.values === null) return noColumn();
    while (this.values.length < length) this.values.push("");
    const column = new ColumnBuilder();
    column.values = this.values;
    return column.finish();
  }
}

/** Makes a column of some values. */
export function columnOf(values) {
  const column = new ColumnBuilder();
  for (const value of values) column.push(typeof value === "string" ? value : bytesOf(value));
  return column.finish();
}
