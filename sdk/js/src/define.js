// What authors export: the plugin as a value.

const NO_SETTINGS = { type: "object", additionalProperties: false };

function define(role, definition, needed) {
  for (const name of needed) {
    if (typeof definition[name] !== "function") throw new TypeError(`a ${role} needs the function \`${name}\``);
  }
  if (typeof definition.summary !== "string" || definition.summary === "") {
    throw new TypeError(`a ${role} needs a \`summary\`: one line for people`);
  }
  return Object.freeze({ settings: NO_SETTINGS, wants: [], maxBatch: 1000, ...definition, role });
}

export function defineTransformer(definition) {
  return define("transformer", { pure: true, ...definition }, ["transform"]);
}

export function defineSource(definition) {
  const source = define("source", definition, ["read"]);
  if (source.reReads === undefined) {
    throw new TypeError("a source needs `reReads`: whether reading again from an older checkpoint gives the same records");
  }
  return source;
}

export function defineDestination(definition) {
  const destination = define("destination", definition, ["write"]);
  for (const name of ["idempotency", "atomicity"]) {
    if (destination[name] === undefined) throw new TypeError(`a destination needs \`${name}\`: the host relies on it`);
  }
  return destination;
}
