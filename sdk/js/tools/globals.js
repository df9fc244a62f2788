// What authors and their packages expect to be there, and QuickJS does not have. esbuild takes in what is used.

import * as log from "../src/log.js";
import { decode, decodeLossy, encode } from "../src/utf8.js";

function line(values) {
  return values.map((value) => {
    if (typeof value === "string") return value;
    if (value instanceof Error) return `${value.name}: ${value.message}`;
    try {
      return JSON.stringify(value) ?? String(value);
    } catch {
      return String(value);
    }
  }).join(" ");
}

/** Goes to the host's log. */
export const console = /* @__PURE__ */ Object.freeze({
  trace: (...values) => log.trace(line(values)),
  debug: (...values) => log.debug(line(values)),
  log: (...values) => log.info(line(values)),
  info: (...values) => log.info(line(values)),
  warn: (...values) => log.warn(line(values)),
  error: (...values) => log.error(line(values)),
});

export class TextEncoder {
  encoding = "utf-8";

  encode(text = "") {
    return encode(String(text));
  }
}

export class TextDecoder {
  encoding = "utf-8";

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`there is no decoder for ${label} in a plugin, only for utf-8`);
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  decode(bytes = new Uint8Array(0)) {
    const view = ArrayBuffer.isView(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes);
    let text;
    if (this.fatal) {
      try {
        text = decode(view);
      } catch {
        throw new TypeError("the bytes are not UTF-8");
      }
    } else {
      text = decodeLossy(view);
    }
    return !this.ignoreBOM && text.startsWith("\ufeff") ? text.slice(1) : text;
  }
}
