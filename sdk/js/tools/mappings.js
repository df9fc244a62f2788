// The field `mappings` of a source map, written.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function number(value) {
  let rest = value < 0 ? (-value << 1) | 1 : value << 1;
  let text = "";
  do {
    const bits = rest & 31;
    rest >>>= 5;
    text += DIGITS[rest > 0 ? bits | 32 : bits];
  } while (rest > 0);
  return text;
}

/** The opposite of `decodeMappings`: segments of column, source, line and column, or of a column alone. */
export function encodeMappings(lines) {
  const before = [0, 0, 0, 0];
  return lines.map((segments) => {
    before[0] = 0;
    return segments.map((segment) => segment.map((value, field) => {
      const text = number(value - before[field]);
      before[field] = value;
      return text;
    }).join("")).join(",");
  }).join(";");
}
