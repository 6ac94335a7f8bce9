/** A full disk. On an origin of its own, whose quota `browser.js` has made small before anything was written. */

import { equal, ok, test } from "../harness.js";

test("quota: b36 a full disk is storage_full, nothing is lost, and there is room again later", async (stage) => {
  const { unisono, replica, devtools } = stage;
  const client = await unisono.Client.open({ name: replica() });
  const samples = client.collection("samples");
  await samples.create("before", { n: 1 });
  const noise = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(60_000));
    return Array.from(bytes, (byte) => String.fromCharCode(33 + (byte % 90))).join("");
  };
  const written = [];
  let error;
  for (let n = 0; n < 200 && !error; n += 1) {
    try {
      await samples.create(`s${n}`, { noise: noise() });
      written.push(`s${n}`);
    } catch (caught) {
      error = caught;
    }
  }
  equal([error?.code, error?.kind, error?.retryable], ["storage_full", "storage", true], `${written.length} writes`);
  ok(written.length > 0);
  equal((await samples.query()).map((row) => row.id), ["before", ...written].sort());
  equal(client.status().pending, 1 + written.length);
  await devtools("Storage.overrideQuotaForOrigin", { origin: location.origin });
  await samples.create("after", { n: 2 });
  equal(await samples.get("after"), { n: 2 });
  await client.close();
});
