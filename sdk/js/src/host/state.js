import state from "crossdock:plugin/state@0.1.0";

export { state };
