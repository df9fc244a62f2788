// The rules of the contract that a test host insists on.

const OUTCOMES = ["ok", "unchanged", "dropped", "rejected", "retryable", "unauthorized", "unknown", "untouched"];
const WITH_FAILURE = ["rejected", "retryable", "unauthorized", "unknown"];
const EMPTY = new Uint8Array(0);

export function rule(kept, broken) {
  if (!kept) throw new Error(`broken contract: ${typeof broken === "function" ? broken() : broken}`);
}

export function textOf(bytes, what) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error(`broken contract: one of ${what} is not UTF-8`);
  }
}

/** The values of a column that has to have `length` of them. */
export function valuesOf(what, column, length) {
  rule(column.data instanceof Uint8Array && column.offsets instanceof Uint32Array, `${what} is no column`);
  const offsets = [...column.offsets];
  rule(offsets[0] === 0, `the first offset of ${what} is not 0`);
  rule(offsets.at(-1) === column.data.length, `the last offset of ${what} is not its length`);
  rule(offsets.every((offset, i) => i === 0 || offset >= offsets[i - 1]), `the offsets of ${what} are not ascending`);
  rule(offsets.length === length + 1, `${offsets.length - 1} ${what} for ${length} records`);
  return offsets.slice(1).map((end, i) => column.data.slice(offsets[i], end));
}

/** The same for a column that may be of no values instead. */
export function optionalValuesOf(what, column, length, maxBytes = Infinity) {
  if (column.offsets.length === 1 && column.offsets[0] === 0 && column.data.length === 0) return Array(length).fill(EMPTY);
  const values = valuesOf(what, column, length);
  for (const value of values) rule(value.length <= maxBytes, `${what} may have ${maxBytes} bytes each, one has ${value.length}`);
  return values;
}

/** Attributes by record, empty ones left out. */
export function attributesOf(attributes, length) {
  rule(attributes.length <= 64, "more than 64 attributes");
  const byRecord = Array.from({ length }, () => ({}));
  for (const { name, values } of attributes) {
    rule(Buffer.byteLength(name) <= 128, `the attribute name ${name} is too long`);
    valuesOf(`values of ${name}`, values, length).forEach((value, i) => {
      if (value.length > 0) byRecord[i][name] = textOf(value, `the values of ${name}`);
    });
  }
  return byRecord;
}

/** A failure as the plugin gave it, if it keeps to the rules. */
export function failureOf(failure) {
  rule(/^[a-z0-9.-]{1,64}$/.test(failure.code), `${JSON.stringify(failure.code)} is no failure code: 1 to 64 of a-z 0-9 - .`);
  rule(typeof failure.message === "string" && failure.message !== "", "a failure needs a message");
  const { pointer } = failure;
  rule(pointer === null || pointer === "" || pointer.startsWith("/"), `${JSON.stringify(pointer)} is no JSON pointer`);
  return Object.fromEntries(Object.entries(failure).filter(([, value]) => value !== null));
}

/** Outcomes and failures in the order of the handles that were given. */
export function outcomesOf(given, answer, allowed) {
  const { handles, codes } = answer;
  rule(handles instanceof Uint32Array && given.length === handles.length && given.every((handle, i) => handle === handles[i]),
    () => `the handles ${given} were given and ${[...handles]} came back`);
  rule(codes.length === given.length, `${codes.length} codes for ${given.length} records`);
  const failures = new Map();
  for (const { handle, failure } of answer.failures) {
    rule(!failures.has(handle >>> 0), `two failures for the handle ${handle}`);
    failures.set(handle >>> 0, failureOf(failure));
  }
  const outcomes = given.map((handle, i) => {
    const outcome = OUTCOMES[codes[i]];
    rule(allowed.includes(outcome), `the code ${codes[i]} is not allowed here`);
    const failure = failures.get(handle);
    failures.delete(handle);
    rule((failure !== undefined) === WITH_FAILURE.includes(outcome), `${outcome} with the failure ${JSON.stringify(failure)}`);
    return { outcome, failure };
  });
  rule(failures.size === 0, "failures without a record");
  return outcomes;
}
