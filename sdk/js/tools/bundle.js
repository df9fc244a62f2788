// The author's modules and the kit as one module.

import { build } from "esbuild";
import { join, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { realpathSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { decodeMappings } from "../src/errors.js";
import { encodeMappings } from "./mappings.js";

/** What componentize-qjs calls the one module that it is given. */
export const BUNDLE = "componentize-qjs:user.js";

/** The module that brings the author's and the kit together. */
const ENTRY = "crossdock-entry.js";

const KIT = realpathSync(fileURLToPath(new URL("..", import.meta.url)));
const kit = (file) => join(KIT, file);

/** What authors expect to be there: taken in only where it is used. */
const GLOBALS = ["tools/globals.js"];

const COMMON = {
  bundle: true,
  write: false,
  format: "esm",
  logLevel: "silent",
  legalComments: "none",
  charset: "ascii",
};

/** Names the kit as the author's own folder has it, and what it cannot see from there as the kit itself has it. */
function kitPlugin() {
  const own = new Map([
    ["@crossdock/sdk", "src/index.js"],
  ]);
  return {
    name: "crossdock-kit",
    setup({ onResolve }) {
      onResolve({ filter: /^@crossdock\/sdk(\/|$)/ }, ({ path }) => {
        const file = own.get(path);
        return file === undefined ? undefined : { path: kit(file), sideEffects: false };
      });
      onResolve({ filter: /^(crossdock:|wasi:)/ }, ({ path }) => ({ path, external: true, sideEffects: false }));
    },
  };
}

/** Loads the plugin in Node, where its host is the one for tests: what it is decides how it is built. */
export async function load(dir, entry) {
  const { outputFiles } = await build({
    ...COMMON,
    absWorkingDir: dir,
    entryPoints: [entry],
    platform: "node",
    target: "node20",
    plugins: [kitPlugin()],
    sourcemap: "inline",
  });
  const folder = await mkdtemp(join(tmpdir(), "crossdock-js-"));
  try {
    const file = join(folder, "plugin.mjs");
    await writeFile(file, outputFiles[0].contents);
    const { default: plugin } = await import(pathToFileURL(file).href);
    return plugin;
  } catch (error) {
    // Of where it came from only what is the author's, by the names that the author knows.
    const own = (line) => !/^\s+at /.test(line) || line.includes(folder);
    if (error instanceof Error) error.stack = error.stack.split("\n").filter(own).join("\n").replaceAll(`${folder}${sep}`, "");
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The module that the engine runs, and the host's interfaces that it uses. */
export async function bundle(dir, entry, role, identity, exports) {
  const main = `
import plugin from ${JSON.stringify(`./${entry.split(sep).join("/")}`)};
import { start } from ${JSON.stringify(kit("tools/entry.js"))};
import { ${role} } from ${JSON.stringify(kit(`src/roles/${role}.js`))};
const given = start(plugin, ${role}, ${JSON.stringify(identity)});
export const { ${exports.map((name) => (name === role ? `${name}: exported` : name)).join(", ")} } = given;
export { exported as ${role} };
`;
  const { outputFiles, metafile } = await build({
    ...COMMON,
    absWorkingDir: dir,
    stdin: { contents: main, resolveDir: dir, sourcefile: ENTRY, loader: "js" },
    platform: "neutral",
    // What QuickJS-ng takes as it is.
    target: "es2023",
    mainFields: ["module", "main"],
    conditions: ["crossdock", "module", "import"],
    inject: GLOBALS.map(kit),
    plugins: [kitPlugin()],
    minifyWhitespace: true,
    sourcemap: "external",
    outfile: join(dir, "plugin.js"),
    metafile: true,
  });
  const map = JSON.parse(outputFiles.find(({ path }) => path.endsWith(".map")).text);
  const code = outputFiles.find(({ path }) => path.endsWith(".js")).text;
  const [output] = Object.entries(metafile.outputs).filter(([path]) => path.endsWith(".js")).map(([, output]) => output);
  const imports = output.imports.filter(({ external }) => external).map(({ path }) => path);
  const given = table(dir, map);
  const call = `globalThis.__crossdock.setSources(${given.map((part) => JSON.stringify(part)).join(",")});`;
  return { code: `${code}\n${call}\n`, imports: interfacesOf(imports), table: given };
}

function interfacesOf(imports) {
  const names = imports.map((path) => /^crossdock:plugin\/([a-z-]+)@/.exec(path)?.[1]).filter((name) => name !== undefined);
  return [...new Set(names)];
}

/**
 * What maps a place in the bundle to one in the author's files; it is handed over by the last line of the bundle. Of the
 * kit's own files it only says that they are not the author's.
 */
function table(dir, map) {
  const names = map.sources.map((source) => {
    const real = relative(KIT, join(dir, source));
    const ofKit = !real.startsWith("..") && !/^(examples|templates)[\\/]/.test(real);
    return ofKit || source === ENTRY ? null : source.split(sep).join("/");
  });
  const own = names.filter((name) => name !== null);
  const lines = decodeMappings(map.mappings).map((segments) => {
    const kept = [];
    for (const [column, source, line, at] of segments) {
      const name = source === undefined ? null : names[source];
      if (name !== null) kept.push([column, own.indexOf(name), line, at]);
      else if (kept.length > 0 && kept[kept.length - 1].length > 1) kept.push([column]);
    }
    return kept;
  });
  return [BUNDLE, own, encodeMappings(lines)];
}

/** The folder of the world's files is made and thrown away around a build. */
export async function inTemporary(run) {
  const folder = await mkdtemp(join(tmpdir(), "crossdock-js-"));
  try {
    return await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
