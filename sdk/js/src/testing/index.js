// Tests plugins under `node --test`, without WebAssembly and without a host.

import { createHash } from "node:crypto";
import { columnOf } from "../column.js";
import { expose } from "../exports.js";
import { destination as destinationRole } from "../roles/destination.js";
import { source as sourceRole } from "../roles/source.js";
import { transformer as transformerRole } from "../roles/transformer.js";
import { bytesOf } from "../utf8.js";
import { attributesOf, optionalValuesOf, outcomesOf, failureOf, rule, textOf, valuesOf } from "./contract.js";
import { held, reset } from "./host.js";

/** Handles do not begin with 0, are not what positions are, and need all 32 bits. */
const FIRST_HANDLE = 0xfffff000;
const MAX_BATCH = 10_000;

export const host = {
  reset,
  nowMs: (now) => { held.nowMs = now; },
  remainingMs: (left) => { held.remainingMs = left; },
  cancelled: (cancelled) => { held.cancelled = cancelled; },
  http: (server) => { held.server = server; },
  secret: (name, value, { reveal = false } = {}) => { held.secrets.push({ name, value, revealed: reveal }); },
  setState: (key, value) => { held.state.set(key, bytesOf(value)); },
  state: (key) => (held.state.has(key) ? new TextDecoder().decode(held.state.get(key)) : undefined),
  messages: () => [...held.messages],
  counter: (name) => held.counters.get(name) ?? 0,
  gauge: (name) => held.gauges.get(name),
  inFlight: () => [...held.inFlight],
};

export function record(id, payload, { attributes = {}, key } = {}) {
  return { id, payload: bytesOf(payload), attributes, key: key ?? createHash("md5").update(id).digest("hex") };
}

/** An error of a whole call, as tests see it. */
export class Refused extends Error {
  constructor({ kind, failure }) {
    super(failure.message);
    this.name = "Refused";
    this.kind = kind;
    this.failure = failureOf(failure);
    this.code = this.failure.code;
  }
}

function crash(error) {
  throw error;
}

/** Calls into the plugin; what it refuses becomes an error of tests. */
function called(call, ...given) {
  try {
    return call(...given);
  } catch (thrown) {
    if (thrown !== null && typeof thrown === "object" && "kind" in thrown && "failure" in thrown && !(thrown instanceof Error)) {
      throw new Refused(thrown);
    }
    throw thrown;
  }
}

const ROLES = { source: sourceRole, transformer: transformerRole, destination: destinationRole };
const KINDS = ["http", "secret"];

function checkedDescription(description) {
  const { name, version, summary, maxBatch, settingsSchema, wants } = description;
  rule(/^[a-z0-9-]{1,64}$/.test(name), `${JSON.stringify(name)} is no name: 1 to 64 of a-z 0-9 -`);
  rule(/^\d+\.\d+\.\d+/.test(version), `${JSON.stringify(version)} is no version`);
  rule(typeof summary === "string" && summary !== "" && !summary.includes("\n"), "the summary is one line for people");
  rule(Number.isInteger(maxBatch) && maxBatch >= 1 && maxBatch <= MAX_BATCH, `maxBatch is 1 to ${MAX_BATCH}, not ${maxBatch}`);
  rule(typeof JSON.parse(settingsSchema) === "object", "the schema of the settings is no JSON object");
  for (const want of wants) rule(KINDS.includes(want.tag), `${want.tag} is no want`);
}

function start(plugin, role, settings) {
  rule(plugin?.role === role, `this is a ${plugin?.role ?? "value that no define… function made"}, not a ${role}`);
  const interfaces = expose(plugin, ROLES[role], { name: "plugin-under-test", version: "0.0.0" }, crash);
  checkedDescription(called(interfaces.describe.describe));
  const abilities = called(interfaces.lifecycle.configure, JSON.stringify(settings));
  const check = () => called(interfaces.lifecycle.check);
  const close = () => called(interfaces.lifecycle.close);
  return { interfaces, abilities, check, close };
}

function handlesOf(records) {
  rule(records.length > 0, "a batch has at least one record");
  return records.map((_, i) => (FIRST_HANDLE + i) >>> 0);
}

function batchOf(records) {
  const names = [...new Set(records.flatMap((record) => Object.keys(record.attributes)))];
  return {
    handles: handlesOf(records),
    ids: columnOf(records.map((record) => record.id)),
    payloads: columnOf(records.map((record) => record.payload)),
    attributes: names.map((name) => ({ name, values: columnOf(records.map((record) => record.attributes[name] ?? "")) })),
  };
}

function partOf(bytes, attributes) {
  return { bytes, attributes, get text() { return textOf(bytes, "the outputs"); }, get json() { return JSON.parse(this.text); } };
}

export function transformer(plugin, settings = {}) {
  const { interfaces, ...instance } = start(plugin, "transformer", settings);
  const transform = (records) => {
    const batch = batchOf(records);
    const answer = called(interfaces.transformer.transform, batch);
    const outcomes = outcomesOf(batch.handles, answer, ["ok", "dropped", "rejected", "retryable"]);
    const counts = answer.outputs.length === 0 ? outcomes.map(({ outcome }) => (outcome === "ok" ? 1 : 0)) : [...answer.outputs];
    rule(counts.length === records.length, `${counts.length} output counts for ${records.length} records`);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const payloads = valuesOf("outputs", answer.payloads, total);
    const replaced = answer.attributes.length === 0 ? null : attributesOf(answer.attributes, total);
    let at = 0;
    return records.map(({ id, attributes }, i) => {
      const { outcome, failure } = outcomes[i];
      rule((counts[i] > 0) === (outcome === "ok"), `${outcome} with ${counts[i]} outputs`);
      const parts = payloads.slice(at, at + counts[i]).map((bytes, part) => partOf(bytes, replaced?.[at + part] ?? attributes));
      at += counts[i];
      return { id, outcome, failure, outputs: parts };
    });
  };
  return { ...instance, transform };
}

const WRITTEN = ["ok", "unchanged", "rejected", "retryable", "unauthorized", "unknown", "untouched"];

export function destination(plugin, settings = {}) {
  const { interfaces, ...instance } = start(plugin, "destination", settings);
  const joined = (records, outcomes, answer) => {
    const targetIds = optionalValuesOf("target ids", answer.targetIds, records.length, 512);
    const receipts = optionalValuesOf("receipts", answer.receipts, records.length, 16 * 1024);
    return records.map(({ id, key }, i) => ({
      id,
      key,
      ...outcomes[i],
      targetId: textOf(targetIds[i], "the target ids"),
      receipt: new TextDecoder().decode(receipts[i]),
    }));
  };
  const write = (records, { stopAtFirstFailure = false } = {}) => {
    const batch = batchOf(records);
    const keys = columnOf(records.map((record) => record.key));
    const answer = called(interfaces.destination.write, batch, keys, { stopAtFirstFailure });
    const written = joined(records, outcomesOf(batch.handles, answer, WRITTEN), answer);
    const first = stopAtFirstFailure ? written.findIndex(({ outcome }) => outcome !== "ok" && outcome !== "unchanged") : -1;
    if (first >= 0) {
      for (const late of written.slice(first + 1)) {
        rule(late.outcome === "untouched", `${late.id} behind the first failure was touched`);
      }
    }
    return written;
  };
  const compensate = (written) => {
    rule(interfaces.compensate !== undefined, "the destination has no function `compensate`");
    const handles = handlesOf(written);
    const answer = called(interfaces.compensate.compensate, {
      handles,
      ids: columnOf(written.map(({ id }) => id)),
      keys: columnOf(written.map(({ key }) => key)),
      targetIds: columnOf(written.map(({ targetId }) => targetId)),
      receipts: columnOf(written.map(({ receipt }) => receipt)),
    });
    return written.map(({ id }, i) => ({ id, ...outcomesOf(handles, answer, WRITTEN)[i] }));
  };
  const probe = (records) => {
    rule(interfaces.probe !== undefined, "the destination has no function `probe`");
    const batch = batchOf(records);
    const answer = called(interfaces.probe.probe, batch, columnOf(records.map((record) => record.key)));
    return joined(records, outcomesOf(batch.handles, answer, ["ok", "dropped", "retryable", "unauthorized", "unknown"]), answer);
  };
  return { ...instance, write, compensate, probe };
}

export function source(plugin, settings = {}) {
  const { interfaces, ...instance } = start(plugin, "source", settings);
  const read = (checkpoint = null, { maxRecords = 1000, maxBytes = 1024 * 1024 } = {}) => {
    const page = called(interfaces.source.read, checkpoint, { maxRecords, maxBytes });
    return checkedPage(page, checkpoint, maxRecords, maxBytes);
  };
  const readAll = (limits) => {
    const pages = [];
    const known = new Set();
    for (let checkpoint = null; ;) {
      const page = read(checkpoint, limits);
      for (const { id } of page.records) {
        rule(!known.has(id), `two records of the source have the id ${id}`);
        known.add(id);
      }
      pages.push(page);
      if (page.more !== "more") return pages;
      rule(pages.length < 10_000, "10,000 pages and no end");
      checkpoint = page.checkpoint;
    }
  };
  const ack = (checkpoint) => called(interfaces.source.ack, checkpoint);
  return { ...instance, read, readAll, ack };
}

function checkedPage(page, checkpoint, maxRecords, maxBytes) {
  const length = page.ids.offsets.length - 1;
  const ids = valuesOf("ids", page.ids, length).map((id) => textOf(id, "the ids"));
  const known = new Set();
  for (const id of ids) {
    const bytes = Buffer.byteLength(id);
    rule(bytes >= 1 && bytes <= 512 && !/\p{Cc}/u.test(id), `${JSON.stringify(id)} is no id: 1 to 512 bytes without control characters`);
    rule(!known.has(id), `two records of the page have the id ${id}`);
    known.add(id);
  }
  const payloads = valuesOf("payloads", page.payloads, length);
  const bytes = page.ids.data.length + page.payloads.data.length;
  const fits = length <= maxRecords && (bytes <= maxBytes || length === 1);
  rule(fits, `${length} records with ${bytes} bytes do not fit ${maxRecords} records and ${maxBytes} bytes`);
  rule(page.checkpoint.length <= 64 * 1024, "a checkpoint has at most 64 KiB");
  const moved = page.checkpoint.length > 0 && (checkpoint === null || Buffer.compare(page.checkpoint, checkpoint) !== 0);
  rule(length === 0 || moved, "a page with records must move the checkpoint");
  const orderKeys = optionalValuesOf("order keys", page.orderKeys, length);
  const attributes = attributesOf(page.attributes, length);
  const records = ids.map((id, i) => ({
    id,
    bytes: payloads[i],
    get text() { return textOf(payloads[i], "the payloads"); },
    get json() { return JSON.parse(this.text); },
    attributes: attributes[i],
    orderKey: textOf(orderKeys[i], "the order keys"),
    failure: undefined,
  }));
  let before = -1;
  for (const { index, failure } of page.unreadable) {
    rule(index > before, "unreadable records are not ascending");
    rule(records[index] !== undefined, `there is no record ${index} to be unreadable`);
    records[index].failure = failureOf(failure);
    before = index;
  }
  return { records, checkpoint: page.checkpoint, more: page.more };
}
