// Node-RED without editor and without a door to the network.
module.exports = {
  flowFile: "orders.json",
  httpAdminRoot: false,
  httpNodeRoot: false,
  uiHost: "127.0.0.1",
  uiPort: 0,
  diagnostics: { enabled: false },
  // When all is written it is to end, which it never does by itself.
  functionGlobalContext: { process },
  // The empty text behind the last line is no JSON, which would be said.
  logging: { console: { level: "fatal", metrics: false, audit: false } },
};
