/** What is Node's own. */

import { ok, refused, test } from "../harness.js";

test("node: there is no IndexedDB, and the error says so", async ({ unisono }) => {
  const error = await refused(() => unisono.Client.open({ name: "library" }), {
    code: "storage_unavailable",
    kind: "storage",
  });
  ok(error.message.includes("IndexedDB"), error.message);
});
