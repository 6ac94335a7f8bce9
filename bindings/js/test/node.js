/** Runs the suites in Node, replicas in memory. */

import * as unisono from "unisono";

import { runAll } from "./harness.js";
import { startServer } from "./server.js";
import "./suites/client.js";
import "./suites/values.js";
import "./suites/settings.js";
import "./suites/api-keys.js";
import "./suites/node.js";

const server = await startServer();
let devices = [];
const stage = {
  unisono,
  url: server.url,
  token: server.token,
  /** The name of a replica that nobody else has. */
  replica: () => ":memory:",
  async nativeDevice(user, indexes) {
    const take = await server.nativeDevice(user, indexes);
    devices.push(take);
    return take;
  },
};
const passed = await runAll(stage, (line) => console.log(line));
await server.stop();
process.exitCode = passed ? 0 : 1;
