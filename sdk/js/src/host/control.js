import control from "crossdock:plugin/control@0.1.0";

export { control };
