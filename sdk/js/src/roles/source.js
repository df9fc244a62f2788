// What a source exports.

import { asCallError, CallError } from "../failure.js";
import { asAnswer } from "../guard.js";
import { Page } from "../page.js";
import { Stored } from "../record.js";

const MORE = ["more", "idle", "end"];

/** Only a person can decide what to do with a checkpoint that the plugin does not understand. */
function refused(why) {
  return CallError.checkpointRefused(`the checkpoint is not one of this plugin: ${why}`);
}

export function source(plugin, call) {
  const read = (context, checkpoint, limits) => {
    const before = checkpoint ?? null;
    const page = new Page(limits);
    const more = asAnswer("read", plugin.read(before === null ? null : new Stored(before, refused), page, context));
    if (!MORE.includes(more)) throw new TypeError(`read must return one of ${MORE.join(", ")}, not ${String(more)}`);
    return page.finish(before, more);
  };
  const ack = (context, checkpoint) => {
    if (plugin.ack !== undefined) asAnswer("ack", plugin.ack(new Stored(checkpoint, refused), context));
  };
  return { source: { read: call(read, asCallError), ack: call(ack, asCallError) } };
}
