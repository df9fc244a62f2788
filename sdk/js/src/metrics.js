// Numbers the plugin wants to be seen beside those that the host keeps itself.

import { metrics as host } from "#host/metrics";

export const count = (name, delta = 1) => host.count(name, delta);
export const gauge = (name, value) => host.gauge(name, value);
