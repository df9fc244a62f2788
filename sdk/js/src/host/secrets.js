import secrets from "crossdock:plugin/secrets@0.1.0";

export { secrets };
