// Secrets by name. A plugin works with handles; the host puts the value on the wire.

import { secrets as host } from "#host/secrets";
import { CallError, Failure } from "./failure.js";
import { Stored } from "./record.js";

const WHY = {
  "not-granted": ["not-granted", "secret-not-granted", "the route does not grant this secret to this plugin"],
  "not-available": ["unavailable", "secret-not-available", "the project has no value for this secret"],
  "not-revealed": ["not-granted", "secret-not-revealed", "the route lets this plugin use the secret, not see it"],
};

function refusal(name, thrown) {
  const [kind, code, text] = WHY[thrown?.payload ?? thrown] ?? WHY["not-available"];
  return new CallError(kind, new Failure(code, `the secret ${name} cannot be used: ${text}`));
}

/** The value of a header or query field with a secret in it. */
export class SecretText {
  constructor(wit) {
    this.wit = wit;
  }

  toWit() {
    return this.wit;
  }
}

export class Secret extends SecretText {
  constructor(name, handle) {
    super({ tag: "secret", val: { before: "", secret: handle, after: "" } });
    this.name = name;
    this.handle = handle;
  }

  bearer() {
    return this.within("Bearer ", "");
  }

  within(before, after) {
    return new SecretText({ tag: "secret", val: { before, secret: this.handle, after } });
  }

  basic(user) {
    return new SecretText({ tag: "basic", val: { user, secret: this.handle } });
  }

  reveal() {
    try {
      return new Stored(host.reveal(this.handle));
    } catch (thrown) {
      throw refusal(this.name, thrown);
    }
  }
}

export function open(name) {
  try {
    return new Secret(name, host.open(name));
  } catch (thrown) {
    throw refusal(name, thrown);
  }
}
