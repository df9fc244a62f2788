// What `typescript.js` hands to Node.js: types are taken off by the bundler that also builds the plugin.

import { transform } from "esbuild";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

export async function load(url, context, nextLoad) {
  if (!url.startsWith("file:") || !/\.m?ts$/.test(url)) return nextLoad(url, context);
  const file = fileURLToPath(url);
  const { code } = await transform(await readFile(file, "utf8"), {
    loader: "ts", format: "esm", target: "node20", sourcefile: file, sourcemap: "inline",
  });
  return { format: "module", source: code, shortCircuit: true };
}
