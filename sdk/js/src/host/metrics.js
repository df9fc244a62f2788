import metrics from "crossdock:plugin/metrics@0.1.0";

export { metrics };
