/** What is Node's own. */

import init from "../../dist/wasm/unisono.js";
import { ok, refused, test } from "../harness.js";

test("node: there is no IndexedDB, and the error says so", async ({ unisono }) => {
  const error = await refused(() => unisono.Client.open({ name: "library" }), {
    code: "storage_unavailable",
    kind: "storage",
  });
  ok(error.message.includes("IndexedDB"), error.message);
});

test("node: a recovery says so too", async ({ unisono }) => {
  await refused(() => unisono.recover("library"), { code: "storage_unavailable", kind: "storage" });
});

// The last one: nothing runs after it.
test("node: b47 a module that has failed refuses the calls under way and all to come", async ({ unisono }) => {
  const client = await unisono.Client.open({ name: ":memory:" });
  const samples = client.collection("samples");
  const watch = samples.watch();
  await watch.next();
  const waiting = watch.next();
  // A defect could do this to the module's memory; here the test does.
  const { memory } = await init();
  new Uint8Array(memory.buffer).fill(1);
  const failed = { name: "UnisonoError", code: "internal", kind: "internal", retryable: false };
  await refused(() => client.status(), failed);
  await refused(waiting, failed);
  for (const call of [() => samples.create("a", {}), () => client.pending(), () => client.close(), () => client.status()]) {
    await refused(call, failed);
  }
  await refused(() => unisono.Client.open({ name: ":memory:" }), failed);
});
