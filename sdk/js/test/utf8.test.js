// The engine of plugins has no TextDecoder: its way of coding text is held against Node's.

import assert from "node:assert/strict";
import { test } from "node:test";

const { TextDecoder: Decoder, TextEncoder: Encoder } = globalThis;

/** The module as it is in a plugin: without coders, with base64. */
async function asInPlugins() {
  globalThis.TextDecoder = undefined;
  globalThis.TextEncoder = undefined;
  Uint8Array.prototype.toBase64 ??= function toBase64() { return Buffer.from(this).toString("base64"); };
  Uint8Array.fromBase64 ??= (text) => new Uint8Array(Buffer.from(text, "base64"));
  String.prototype.toWellFormed ??= function toWellFormed() {
    return this.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
  };
  try {
    const utf8 = await import("../src/utf8.js?plugin");
    const column = await import("../src/column.js?plugin");
    return { utf8, column };
  } finally {
    globalThis.TextDecoder = Decoder;
    globalThis.TextEncoder = Encoder;
  }
}

const { utf8, column } = await asInPlugins();
const TEXTS = [
  "", "a", "plain ASCII", "bøb", "12 € for Łukasz", "日本語", "😀 and 👩‍👩‍👧", "\u0000\u007f\u0080\u07ff\u0800\uffff\u{10ffff}",
  "x".repeat(100_000), "é".repeat(70_001), `${"a".repeat(63)}ü`, "\ufeffwith a mark",
];

test("text becomes the bytes that it becomes elsewhere, and comes back", () => {
  assert.equal(utf8.hasCoders, false);
  for (const text of TEXTS) {
    const bytes = utf8.encode(text);
    assert.deepEqual(Buffer.from(bytes), Buffer.from(new Encoder().encode(text)), text.slice(0, 40));
    assert.equal(utf8.decode(bytes), text);
  }
  assert.equal(utf8.decode(utf8.encode("a\ud800b")), "a\ufffdb");
});

test("what is not UTF-8 is noticed", () => {
  for (const bytes of [[0x80], [0xc3], [0xc3, 0x28], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xc0, 0xaf], [0xf5, 0x80, 0x80, 0x80], [0x61, 0xff]]) {
    assert.throws(() => utf8.decode(Uint8Array.from(bytes)), `${bytes}`);
    assert.ok(utf8.decodeLossy(Uint8Array.from(bytes)).includes("\ufffd"));
  }
});

test("one byte that is not ASCII is seen wherever it stands", () => {
  for (let length = 0; length < 150; length++) {
    for (const offset of [0, 1, 2, 3]) {
      const bytes = new Uint8Array(length + offset).subarray(offset).fill(0x7f);
      assert.equal(utf8.isAscii(bytes), true);
      for (let at = 0; at < length; at++) {
        bytes[at] = 0x80;
        assert.equal(utf8.isAscii(bytes), false, `${length} ${offset} ${at}`);
        bytes[at] = 0x7f;
      }
    }
  }
});

test("columns of many values, with and without other letters", () => {
  const check = (values) => {
    const { data, offsets } = column.columnOf(values);
    const reader = new column.Values({ data, offsets: [...offsets] });
    assert.equal(reader.length, values.length);
    values.forEach((value, i) => assert.equal(reader.text(i), value));
    // In another order than the columns are decoded in.
    assert.equal(reader.text(0), values[0]);
    assert.deepEqual(Buffer.from(reader.bytes(values.length - 1)), Buffer.from(values.at(-1)));
  };
  check(TEXTS);
  check(["only ASCII", "", "in here"]);
  check(Array.from({ length: 5000 }, (_, i) => (i % 7 === 0 ? `ü${i}`.repeat(40) : `value ${i} `.repeat(10))));
});
