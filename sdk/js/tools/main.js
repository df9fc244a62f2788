#!/usr/bin/env node
// Builds a plugin: reads its package.json, and writes the component to stdout or to the file that is named.
//
//     crossdock-build-js [DIR] [OUT.wasm]
//
// `crossdock plugin build` calls it, and adds the section that names the contract.

import { readFile, writeFile } from "node:fs/promises";
import { isAbsolute, join, normalize, resolve } from "node:path";
import { descriptionOf } from "../src/exports.js";
import { placeOf, setSources } from "../src/errors.js";
import { BUNDLE, bundle, inTemporary, load } from "./bundle.js";
import { engine } from "./runtime.js";
import { writeWorld } from "./wit.js";

/** A mistake of the author's: told without a trace through the kit. */
class Mistake extends Error {}

async function manifestOf(dir) {
  const manifest = JSON.parse(await readFile(join(dir, "package.json"), "utf8"));
  const entry = manifest.crossdock?.entry;
  if (typeof entry !== "string" || isAbsolute(entry)) {
    throw new Mistake('package.json does not say where the plugin begins: "crossdock": { "entry": "src/plugin.js" }');
  }
  // The scope of a package says whose it is, not what it is called.
  const name = String(manifest.name).split("/").pop();
  return { entry: normalize(entry), identity: { name, version: String(manifest.version) } };
}

/** The plugin as a value, or what is wrong with it. */
async function loaded(dir, entry) {
  let plugin;
  try {
    plugin = await load(dir, entry);
  } catch (error) {
    if (Array.isArray(error?.errors)) throw error;
    throw new Mistake(`${entry} failed while it was loaded: ${error?.stack ?? error}`);
  }
  if (!["source", "transformer", "destination"].includes(plugin?.role)) {
    throw new Mistake(`${entry} has no default export that is a plugin: write \`export default defineTransformer({ … })\``);
  }
  return plugin;
}

function exportsOf(plugin) {
  const exports = ["describe", "lifecycle", plugin.role];
  for (const ability of ["compensate", "probe"]) {
    if (plugin.role === "destination" && typeof plugin[ability] === "function") exports.push(ability);
  }
  return exports;
}

async function component(dir) {
  const { entry, identity } = await manifestOf(dir);
  const plugin = await loaded(dir, entry);
  // What cannot be described is told now, and not by the first host that loads it.
  descriptionOf(plugin, identity);
  const exports = exportsOf(plugin);
  const { code, imports, table } = await bundle(dir, entry, plugin.role, identity, exports);
  const { componentize } = await import("componentize-qjs");
  return inTemporary(async (folder) => {
    await writeWorld(folder, imports, exports);
    try {
      const made = await componentize({ witPath: folder, world: "plugin", jsSource: code, runtimeBytes: await engine() });
      return made.component;
    } catch (error) {
      throw new Mistake(`the plugin's modules failed when the engine loaded them:\n${inAuthorsLines(String(error?.message ?? error), table)}`);
    }
  });
}

/** What the engine said, with the author's files and lines; what is of the kit or the engine itself is left out. */
function inAuthorsLines(said, table) {
  setSources(...table);
  const place = new RegExp(`${BUNDLE.replaceAll(".", "\\.")}:(\\d+):(\\d+)`);
  return said.replace(/^.*JavaScript module evaluation: (Error: )?/, "").trim().split("\n").flatMap((line) => {
    const found = place.exec(line);
    if (found === null) return /^\s+at /.test(line) ? [] : [line];
    const own = placeOf(Number(found[1]), Number(found[2]));
    return own === null ? [] : [line.replace(found[0], own)];
  }).join("\n");
}

/** Mistakes in the code, as the bundler tells them: file, line, column, and the line itself. */
function bundlerMistakes(errors) {
  return errors.map(({ text, location }) => {
    if (location === null) return text;
    const { file, line, column, lineText } = location;
    return `${file}:${line}:${column + 1}: ${text}\n    ${lineText}\n    ${" ".repeat(column)}^`;
  }).join("\n");
}

// What fails while it is loaded in Node is told in the author's lines too.
process.setSourceMapsEnabled(true);
const [dir = ".", out] = process.argv.slice(2);
try {
  const bytes = await component(resolve(dir));
  if (out === undefined) process.stdout.write(bytes);
  else await writeFile(out, bytes);
} catch (error) {
  if (Array.isArray(error?.errors)) console.error(bundlerMistakes(error.errors));
  else console.error(error instanceof Mistake ? error.message : error?.stack ?? error);
  process.exitCode = 1;
}
