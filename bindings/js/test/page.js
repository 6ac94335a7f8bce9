/** Runs the suites in a page, replicas in IndexedDB. What a page cannot do it asks of `browser.js`. */

import * as unisono from "unisono";

import { runAll } from "./harness.js";

for (const suite of new URLSearchParams(location.search).getAll("suite")) await import(`./suites/${suite}.js`);

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", body });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return text;
}

let replicas = 0;
const stage = {
  unisono,
  url: await post("/server", ""),
  token: (...member) => post("/token", JSON.stringify(member)),
  /** The name of a replica that nobody else has. */
  replica: () => `replica ${(replicas += 1)}`,
  async nativeDevice(user, indexes = []) {
    const device = await post("/native", JSON.stringify({ user, indexes }));
    return (step) => post(`/native/${device}`, step);
  },
  devtools: async (cmd, params) => JSON.parse(await post("/devtools", JSON.stringify({ cmd, params }))),
  scenario: async (name) => (await fetch(`/scenarios/${name}`)).text(),
};

// Nothing may go wrong beside the tests.
addEventListener("unhandledrejection", (event) => post("/tell", `unhandled rejection: ${event.reason?.stack ?? event.reason}`));
addEventListener("error", (event) => post("/tell", `uncaught error: ${event.message}`));

const passed = await runAll(stage, (line) => post("/tell", line));
await post("/end", String(passed));
