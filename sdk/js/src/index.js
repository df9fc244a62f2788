// Write a Crossdock plugin in JavaScript or TypeScript. The types, with what each thing means, are in index.d.ts.

export { applied, notApplied, unchanged, undone, untouched } from "./answers.js";
export { defineDestination, defineSource, defineTransformer } from "./define.js";
export { CallError, Failure, reject, retry, unauthorized, unknown } from "./failure.js";
export { HttpError, Response } from "./http.js";

export * as control from "./control.js";
export * as http from "./http.js";
export * as log from "./log.js";
export * as metrics from "./metrics.js";
export * as secrets from "./secrets.js";
export * as state from "./state.js";
