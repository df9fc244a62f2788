// Errors that nobody caught, in the author's own files and lines.

const state = { table: null, frame: null };

/**
 * Says how to read the lines of the built plugin: `sources` are the author's files, and `mappings` the field of that name
 * of a source map that knows no others, for the bundle that the engine calls `file`.
 */
export function setSources(file, sources, mappings) {
  state.table = { sources, mappings, lines: null };
  state.frame = new RegExp(`^(.*?)\\(?${file.replace(/[.\\/+*?^$()[\]{}|]/g, "\\$&")}:(\\d+):(\\d+)\\)?$`);
}

/** What people are told of an error: its message, and where it came from. */
export function describeError(error) {
  if (!(error instanceof Error)) return { message: `something was thrown that is no Error: ${shown(error)}`, stack: "" };
  const name = error.name || "Error";
  const message = error.message ? `${name}: ${error.message}` : name;
  return { message: message + hint(error), stack: stackOf(error) };
}

function shown(value) {
  try {
    return typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  } catch {
    return String(value);
  }
}

const ABSENT = {
  fetch: "requests are sent with `http` of @crossdock/sdk",
  XMLHttpRequest: "requests are sent with `http` of @crossdock/sdk",
  setTimeout: "plugins do not wait; what should be tried later is thrown as `retry(…)`",
  setInterval: "plugins do not wait; what should be tried later is thrown as `retry(…)`",
  process: "settings come with the call, secrets from `secrets` of @crossdock/sdk",
  require: "use `import`",
  Buffer: "use Uint8Array, TextEncoder and TextDecoder",
  crypto: "there is no source of chance in a plugin",
  URL: "bring a package for it, or hand `query` to `http.send`",
};

/** Names that people expect, and what to use in their place. */
function hint(error) {
  if (!(error instanceof ReferenceError)) return "";
  const name = /^'?(\w+)'? is not defined/.exec(error.message)?.[1];
  const instead = name === undefined ? undefined : ABSENT[name];
  return instead === undefined ? "" : ` (there is none in a plugin: ${instead})`;
}

function stackOf(error) {
  const lines = String(error.stack ?? "").split("\n");
  if (state.frame === null) return lines.filter((line) => /^\s+at /.test(line)).join("\n");
  const frames = [];
  for (const line of lines) {
    const frame = state.frame.exec(line);
    if (frame === null) continue;
    const place = placeOf(Number(frame[2]), Number(frame[3]));
    if (place === null) continue;
    const name = /at (.+?)\s*$/.exec(frame[1])?.[1] ?? "";
    frames.push(name === "" || name === "<anonymous>" ? `    at ${place}` : `    at ${name} (${place})`);
  }
  return frames.join("\n");
}

/** `file:line:column` in the author's source, or null if it is no line of the author's. */
export function placeOf(line, column) {
  const table = state.table;
  table.lines ??= decodeMappings(table.mappings);
  let found = null;
  for (const segment of table.lines[line - 1] ?? []) {
    if (segment[0] > column - 1) break;
    found = segment;
  }
  if (found === null || found.length < 4) return null;
  return `${table.sources[found[1]]}:${found[2] + 1}:${found[3] + 1}`;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The field `mappings` of a source map, version 3: per line, segments of column, source, line and column. */
export function decodeMappings(mappings) {
  const state = [0, 0, 0, 0, 0];
  return mappings.split(";").map((line) => {
    state[0] = 0;
    return line === "" ? [] : line.split(",").map((text) => {
      let field = 0;
      let value = 0;
      let shift = 0;
      const fields = [];
      for (const digit of text) {
        const bits = DIGITS.indexOf(digit);
        value += (bits & 31) << shift;
        shift += 5;
        if ((bits & 32) !== 0) continue;
        state[field] += value & 1 ? -(value >>> 1) : value >>> 1;
        fields.push(state[field]);
        field++;
        value = 0;
        shift = 0;
      }
      return fields;
    });
  });
}
