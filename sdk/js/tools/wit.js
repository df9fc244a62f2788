// The world of one plugin: what it exports, and of the host's interfaces those that it uses.

import { cp, mkdir, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const CONTRACT = "0.1.0";

/** The contract: in the package that is published, or at the root of the repository. */
const PLACES = ["../wit", "../../../wit"];

/** Where errors that nobody caught are written, and how the instance then ends. What the engine itself imports is more. */
const ENDING = {
  "wasi-cli/cli.wit": `package wasi:cli@0.2.0;
interface exit { exit: func(status: result); }
interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }
`,
  "wasi-io/io.wit": `package wasi:io@0.2.0;
interface error { resource error; }
interface streams {
  use error.{error};
  variant stream-error { last-operation-failed(error), closed }
  resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
}
`,
};

/** Writes the world into a folder, with all that it names. */
export async function writeWorld(folder, imports, exports) {
  const contract = PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((place) => existsSync(join(place, "types.wit")));
  if (contract === undefined) throw new Error("the kit is not whole: its folder `wit` with the contract is missing");
  const own = join(folder, "deps", "crossdock-plugin");
  await mkdir(own, { recursive: true });
  for (const file of ["types.wit", "host.wit", "plugin.wit"]) await cp(join(contract, file), join(own, file));
  for (const [file, text] of Object.entries(ENDING)) {
    await mkdir(join(folder, "deps", file, ".."), { recursive: true });
    await writeFile(join(folder, "deps", file), text);
  }
  const interfaces = (names, way) => names.map((name) => `  ${way} crossdock:plugin/${name}@${CONTRACT};\n`).join("");
  const world = `package crossdock:build;

world plugin {
${interfaces([...imports].sort(), "import")}  import wasi:cli/stderr@0.2.0;
  import wasi:cli/exit@0.2.0;
${interfaces(exports, "export")}}
`;
  await writeFile(join(folder, "world.wit"), world);
}
