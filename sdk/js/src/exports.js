// From what an author exports to the functions of the contract.

import { asCallError, CallError, callErrorToWit } from "./failure.js";
import { asAnswer } from "./guard.js";
import { settingsOf } from "./settings.js";

const NOTHING = { reReads: false, pure: false, idempotency: "none", atomicity: "best-effort", compensates: false };
const WANTS = { http: "http", secret: "secret" };

/** Runs one call. What is no answer goes to `crash`, which does not come back. */
function guarded(crash, call, refuse) {
  return (...given) => {
    try {
      return call(...given);
    } catch (thrown) {
      const error = refuse === undefined ? thrown : refuse(thrown);
      if (error instanceof CallError) throw callErrorToWit(error);
      return crash(error);
    }
  };
}

/** What an ability is with the settings that were given: a value, or a function of them. */
function ability(value, context) {
  return typeof value === "function" ? value(context.settings) : value;
}

function abilitiesOf(plugin, context) {
  switch (plugin.role) {
    case "source":
      return { ...NOTHING, reReads: ability(plugin.reReads, context) === true };
    case "transformer":
      return { ...NOTHING, pure: ability(plugin.pure, context) === true };
    default: {
      const can = plugin.compensates === undefined ? true : ability(plugin.compensates, context) === true;
      return {
        ...NOTHING,
        idempotency: ability(plugin.idempotency, context),
        atomicity: ability(plugin.atomicity, context),
        compensates: can && typeof plugin.compensate === "function",
      };
    }
  }
}

/** What a plugin is, as the contract has it. */
export function descriptionOf(plugin, identity) {
  const want = (entry) => {
    const [[kind, text] = []] = Object.entries(entry);
    if (!(kind in WANTS)) throw new TypeError(`a want is one of ${Object.keys(WANTS).join(", ")}, not ${kind}`);
    return { tag: WANTS[kind], val: String(text) };
  };
  return {
    name: identity.name,
    version: identity.version,
    summary: plugin.summary,
    role: plugin.role,
    settingsSchema: JSON.stringify({ $schema: "https://json-schema.org/draft/2020-12/schema", ...plugin.settings }),
    wants: plugin.wants.map(want),
    maxBatch: plugin.maxBatch,
  };
}

/**
 * The interfaces that a plugin exports. `role` makes those of its role, `identity` is its name and version, `crash` is
 * given what nobody caught: it ends the instance, or, in tests, throws.
 */
export function expose(plugin, role, identity, crash) {
  let context = null;
  const ready = () => {
    if (context === null) throw CallError.internal("called before it was configured");
    return context;
  };
  const call = (run, refuse) => guarded(crash, (...given) => run(ready(), ...given), refuse);

  const lifecycle = {
    configure: guarded(crash, (text) => {
      const settings = settingsOf(text, plugin.settings);
      const prepared = plugin.prepare === undefined ? undefined : asAnswer("prepare", plugin.prepare(settings));
      context = { settings, prepared };
      return abilitiesOf(plugin, context);
    }, (thrown) => asCallError(thrown, "invalid-settings")),
    check: call((context) => {
      if (plugin.check !== undefined) asAnswer("check", plugin.check(context));
    }, asCallError),
    close: guarded(crash, () => {
      if (context !== null && plugin.close !== undefined) plugin.close(context);
      context = null;
    }),
  };
  const describe = { describe: guarded(crash, () => descriptionOf(plugin, identity)) };
  return { describe, lifecycle, ...role(plugin, call) };
}
