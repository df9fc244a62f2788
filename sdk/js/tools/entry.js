// The beginning of every plugin: hands what the author exports to the contract, and ends an instance that failed.

import exit from "wasi:cli/exit@0.2.0";
import stderr from "wasi:cli/stderr@0.2.0";
import { describeError, setSources } from "../src/errors.js";
import { expose } from "../src/exports.js";
import { encode } from "../src/utf8.js";

/** The table of the author's lines comes with the last line of the bundle. */
globalThis.__crossdock = { setSources };

/** As much as the host keeps, and no more than it takes at once. */
const STDERR_MAX_BYTES = 4000;

/**
 * Nobody caught this: it goes to stderr, from where the host puts it into the failure, and the instance ends. It does not
 * come back.
 */
function crash(error) {
  const { message, stack } = describeError(error);
  const text = encode(`Uncaught ${message}\n${stack}${stack === "" ? "" : "\n"}`);
  stderr.getStderr().blockingWriteAndFlush(text.subarray(0, STDERR_MAX_BYTES));
  exit.exit({ tag: "err" });
  throw error;
}

export function start(plugin, role, identity) {
  return expose(plugin, role, identity, crash);
}
