import log from "crossdock:plugin/log@0.1.0";

export { log };
