// The clock, and how much time is left.

import { control as host } from "#host/control";

export const nowMs = () => Number(host.nowMs());
export const remainingMs = () => Number(host.remainingMs());
export const cancelled = () => host.cancelled();
