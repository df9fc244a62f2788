// Messages for the person who runs the route.

import { log as host } from "#host/log";

export const trace = (message) => host.write("trace", String(message));
export const debug = (message) => host.write("debug", String(message));
export const info = (message) => host.write("info", String(message));
export const warn = (message) => host.write("warn", String(message));
export const error = (message) => host.write("error", String(message));
