// Lets Node.js run TypeScript, for tests: node --import @crossdock/sdk/typescript --test test/*.test.ts

import { register } from "node:module";

register("./typescript-loader.js", import.meta.url);
