// What a transformer exports.

import { transformBatch } from "../transform.js";

export function transformer(plugin, call) {
  const transform = call((context, batch) => transformBatch((...given) => plugin.transform(...given), batch, context));
  return { transformer: { transform } };
}
