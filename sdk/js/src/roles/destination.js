// What a destination exports.

import { ProbeAnswers, UndoAnswers, WriteAnswers } from "../answers.js";
import { asCallError, CallError } from "../failure.js";
import { asAnswer } from "../guard.js";
import { Batch, UndoBatch } from "../record.js";

/** Lets a plugin answer for the records of a batch. A call is refused as a whole only if nothing was done in it. */
function answered(name, run, answers) {
  try {
    asAnswer(name, run());
  } catch (error) {
    if (error instanceof CallError && answers.begun) {
      throw new Error(`${name} refused the whole call after it had applied some of its records: ${error.message}`);
    }
    throw error;
  }
  return answers.finish();
}

export function destination(plugin, call) {
  const columns = (wit, answers, { codes, failures }) => ({
    handles: Uint32Array.from(wit.handles),
    codes,
    targetIds: answers.targetIds.finish(answers.records.length),
    receipts: answers.receipts.finish(answers.records.length),
    failures,
  });
  const write = (context, wit, keys, options) => {
    const records = new Batch(wit, keys).records();
    const answers = new WriteAnswers(records, options.stopAtFirstFailure);
    return columns(wit, answers, answered("write", () => plugin.write(records, answers, context), answers));
  };
  const compensate = (context, wit) => {
    const records = new UndoBatch(wit).records();
    const answers = new UndoAnswers(records);
    const said = answered("compensate", () => plugin.compensate(records, answers, context), answers);
    return { handles: Uint32Array.from(wit.handles), ...said };
  };
  const probe = (context, wit, keys) => {
    const records = new Batch(wit, keys).records();
    const answers = new ProbeAnswers(records);
    return columns(wit, answers, answered("probe", () => plugin.probe(records, answers, context), answers));
  };
  const interfaces = { destination: { write: call(write) } };
  if (typeof plugin.compensate === "function") interfaces.compensate = { compensate: call(compensate) };
  if (typeof plugin.probe === "function") interfaces.probe = { probe: call(probe, asCallError) };
  return interfaces;
}
