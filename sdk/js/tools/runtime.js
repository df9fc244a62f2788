// The engine that goes into each plugin: the one of componentize-qjs, without what would make each build another file.
//
// When a plugin is built the engine is started, runs the plugin's modules, and its memory is kept as the component. Three
// things in that memory came from clock and chance of the machine that built: the keys of hash maps, the seed of
// Math.random, and the time that performance.now() counts from. The three calls that fetch them stand in the function that
// runs at the build only; they are taken out here, byte for byte, and nothing else is touched.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { readdirSync } from "node:fs";

/** The engine of componentize-qjs 0.4.5: QuickJS-ng, built for speed, for synchronous components. */
const ENGINE = { bytes: 1497910, sha256: "25703f010b80efb806f9c35daf9ee6524ad60320c9781b0bae4e234264f8dac5" };

/** Place, the call that stands there, and what takes its place: its argument is dropped. */
const CALLS = [
  // wasi:random/insecure-seed: the hash maps' keys are what stood in fresh memory.
  [51620, "1003", "1a01"],
  // gettimeofday: the seed of Math.random, likewise.
  [56381, "10810c", "1a0101"],
  // clock_gettime: the beginning of performance.now(), likewise; it answers 0, for "done".
  [67403, "10820c", "1a4100"],
];

const MODULE = Buffer.from("0061736d01000000", "hex");

/** The file of componentize-qjs that holds its engines: the native part for this machine. */
function nativeFile() {
  const require = createRequire(import.meta.url);
  const kit = createRequire(require.resolve("componentize-qjs"));
  // Without the names of machines that this one is connected to, which may take long to find.
  if (process.report) process.report.excludeNetwork = true;
  const report = process.report?.getReport?.();
  const libc = process.platform === "linux" ? (report?.header?.glibcVersionRuntime === undefined ? "-musl" : "-gnu") : "";
  const abi = process.platform === "win32" ? "-msvc" : libc;
  const binding = `@andreiltd/componentize-qjs-binding-${process.platform}-${process.arch}${abi}/package.json`;
  const folder = dirname(kit.resolve(binding));
  const file = readdirSync(folder).find((name) => name.endsWith(".node"));
  return join(folder, file);
}

export async function engine() {
  const native = await readFile(nativeFile());
  for (let at = native.indexOf(MODULE); at >= 0; at = native.indexOf(MODULE, at + 1)) {
    const found = native.subarray(at, at + ENGINE.bytes);
    if (createHash("sha256").update(found).digest("hex") === ENGINE.sha256) return withoutChance(Buffer.from(found));
  }
  throw new Error("the engine of componentize-qjs 0.4.5 was not found in its package: run `npm ci` again");
}

function withoutChance(engine) {
  for (const [at, call, instead] of CALLS) {
    const bytes = Buffer.from(call, "hex");
    if (!engine.subarray(at, at + bytes.length).equals(bytes)) throw new Error(`the engine is another one at ${at}`);
    Buffer.from(instead, "hex").copy(engine, at);
  }
  return engine;
}
