import http from "crossdock:plugin/http@0.1.0";

export { http };
