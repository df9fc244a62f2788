// Text to bytes and back.
//
// The engine inside of plugins (QuickJS) has no TextDecoder, and a loop over bytes costs it 100 ns a byte. What it has
// is native base64: bytes → base64 → string of the bytes' values. For ASCII that string is the text; the rest is
// mended where it stands. Node (tests) has the coders.

const coders = typeof globalThis.TextDecoder === "function" && typeof globalThis.TextEncoder === "function";
const decoder = coders ? new globalThis.TextDecoder("utf-8", { fatal: true, ignoreBOM: true }) : null;
const encoder = coders ? new globalThis.TextEncoder() : null;

/** Whether all bytes are ASCII: four bytes a look, sixteen words a turn. */
export function isAscii(bytes) {
  const length = bytes.length;
  let seen = 0;
  let at = 0;
  if (length >= 8) {
    while (((bytes.byteOffset + at) & 3) !== 0) seen |= bytes[at++];
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset + at, (length - at) >>> 2);
    const turns = words.length & ~15;
    let any = 0;
    let w = 0;
    for (; w < turns; w += 16) {
      any |= words[w] | words[w + 1] | words[w + 2] | words[w + 3]
        | words[w + 4] | words[w + 5] | words[w + 6] | words[w + 7]
        | words[w + 8] | words[w + 9] | words[w + 10] | words[w + 11]
        | words[w + 12] | words[w + 13] | words[w + 14] | words[w + 15];
    }
    for (; w < words.length; w++) any |= words[w];
    if ((any & 0x80808080) !== 0) return false;
    at += words.length * 4;
  }
  while (at < length) seen |= bytes[at++];
  return (seen & 0x80) === 0;
}

/** A string with one character a byte. */
export function toLatin1(bytes) {
  if (bytes.length === 0) return "";
  return atob(bytes.toBase64());
}

/** The text of a string with one character a byte. Throws a URIError if it is not UTF-8. */
export function latin1ToText(latin1) {
  return latin1.replace(/[\x80-\xff]+/g, (run) => decodeURIComponent(escape(run)));
}

function fromLatin1(latin1) {
  return Uint8Array.fromBase64(btoa(latin1));
}

/** Native coders are there: nothing of the above is needed. */
export const hasCoders = coders;

/** The text of some bytes. Throws if they are not UTF-8. */
export function decode(bytes) {
  if (coders) return decoder.decode(bytes);
  const latin1 = toLatin1(bytes);
  return isAscii(bytes) ? latin1 : latin1ToText(latin1);
}

/** The text of some bytes; what is not UTF-8 becomes U+FFFD. */
export function decodeLossy(bytes) {
  try {
    return decode(bytes);
  } catch {
    if (coders) return new globalThis.TextDecoder().decode(bytes);
    return toLatin1(bytes).replace(/[\x80-\xff]+/g, (run) => {
      try {
        return decodeURIComponent(escape(run));
      } catch {
        return "\ufffd";
      }
    });
  }
}

/** The bytes of a text. A surrogate without its other half becomes U+FFFD. */
export function encode(text) {
  if (coders) return encoder.encode(text);
  if (text.length === 0) return new Uint8Array(0);
  try {
    const bytes = fromLatin1(text);
    if (isAscii(bytes)) return bytes;
  } catch {
    // A character beyond U+00FF.
  }
  const runs = text.toWellFormed().replace(/[^\x00-\x7f]+/g, (run) => unescape(encodeURIComponent(run)));
  return fromLatin1(runs);
}

/** The bytes of a text, of bytes, or of any other value as JSON. */
export function bytesOf(value) {
  if (typeof value === "string") return encode(value);
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`${typeof value} is neither text, bytes nor JSON`);
  return encode(text);
}
