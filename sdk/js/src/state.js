// Durable key-value pairs, private to this plugin at this step of this route.

import { state as host } from "#host/state";
import { Failure } from "./failure.js";
import { Stored } from "./record.js";
import { bytesOf } from "./utf8.js";

const WHY = {
  "too-large": ["state-too-large", "a key of the state is 1 to 256 bytes, a value at most 64 KiB"],
  "quota-reached": ["state-quota-reached", "all values of the state together have at most 1 MiB"],
};

export function get(key) {
  const bytes = host.get(key);
  return bytes === null || bytes === undefined ? null : new Stored(bytes);
}

export function set(key, value) {
  try {
    host.set(key, bytesOf(value));
  } catch (thrown) {
    const why = WHY[thrown?.payload ?? thrown];
    if (why === undefined) throw thrown;
    throw new Failure(why[0], why[1]);
  }
}

export function remove(key) {
  host.delete(key);
}
