/** API keys and storage: what only the server has. */

import { equal, ok, refused, test } from "../harness.js";

const OFFLINE = { code: "offline", kind: "offline", retryable: true };
const REFUSED = { code: "auth_required", kind: "auth", retryable: false };

/** A client of an account of its own. */
async function owner({ unisono, url, token, replica }, account) {
  return unisono.Client.open({ name: replica(), url, account, token: await token(account) });
}

test("API keys: a key opens the account until it is off or gone", async (stage) => {
  const { unisono, url, replica } = stage;
  const client = await owner(stage, "keys");
  const keys = client.apiKeys;
  const { key, secret } = await keys.create({ name: "Sampler", provider: "plugin", permissions: ["read", "write"] });
  equal([key.name, key.provider, key.permissions, key.is_active, "secret" in key], ["Sampler", "plugin", ["read", "write"], true, false]);

  const plugin = await unisono.Client.open({ name: replica(), url, account: "keys", token: secret.reveal() });
  await plugin.collection("samples").create("kick", { bpm: 120 });
  equal((await plugin.syncNow()).pushed, 1);
  await refused(() => plugin.apiKeys.list(), { code: "forbidden", kind: "auth", retryable: false });

  equal((await keys.rename(key.key_id, "Old sampler")).name, "Old sampler");
  equal((await keys.setActive(key.key_id, false)).is_active, false);
  await refused(() => plugin.syncNow(), REFUSED);
  await keys.setActive(key.key_id, true);
  await plugin.syncNow();
  const told = (await keys.list()).map(({ key_id, name, last_used }) => [key_id, name, typeof last_used]);
  equal(told, [[key.key_id, "Old sampler", "number"]]);
  equal(await keys.delete(key.key_id), undefined);
  equal(await keys.list(), []);
  await refused(() => plugin.syncNow(), REFUSED);
  await refused(() => keys.rename("no/such", "x"), { code: "api_key_not_found", kind: "rejected", retryable: false });
  for (const one of [plugin, client]) await one.close();
});

test("API keys: a rotated secret goes on for as long as was said", async (stage) => {
  const { unisono, url, replica } = stage;
  const client = await owner(stage, "rotation");
  const first = await client.apiKeys.create({ name: "Sampler", permissions: ["read"] });
  equal([first.key.provider, first.key.permissions], ["custom", ["read"]]);
  const sync = async ({ secret }) => {
    const program = await unisono.Client.open({ name: replica(), url, account: "rotation", token: secret.reveal() });
    return program.syncNow().finally(() => program.close());
  };
  const second = await client.apiKeys.rotate(first.key.key_id, { overlapS: 3600 });
  for (const issued of [first, second]) await sync(issued);
  const third = await client.apiKeys.rotate(first.key.key_id);
  for (const issued of [first, second]) await refused(() => sync(issued), REFUSED);
  await sync(third);
  await client.close();
});

test("API keys: a secret is shown to whoever asks for it and to nobody else", async (stage) => {
  const client = await owner(stage, "secrets");
  const issued = await client.apiKeys.create({ name: "Sampler", permissions: ["read"] });
  const { secret } = issued;
  ok(secret.reveal().startsWith("unisono_custom_"));
  equal([`${secret}`, JSON.stringify(secret), Object.getOwnPropertyNames(secret)], ["[redacted]", '"[redacted]"', ["reveal"]]);
  ok(!JSON.stringify(issued).includes(secret.reveal()));
  await client.close();
});

test("API keys: what only a server has is offline without one, and storage is an estimate", async (stage) => {
  const client = await owner(stage, "storage");
  const samples = client.collection("samples");
  await samples.create("kick", { bpm: 120 });
  await client.syncNow();
  const counted = await client.storage();
  const bytes = JSON.stringify({ bpm: 120 }).length;
  equal([counted.is_estimate, counted.stats.storage_used], [false, bytes]);
  equal(counted.stats.collections, [{ collection: "samples", records: 1, bytes }]);
  client.setOnline(false);
  await samples.create("snare", { bpm: 120 });
  equal(await client.storage(), {
    is_estimate: true,
    stats: { storage_used: 2 * bytes, collections: [{ collection: "samples", records: 2, bytes: 2 * bytes }] },
  });
  const { apiKeys } = client;
  for (const call of [() => apiKeys.list(), () => apiKeys.create({ name: "a", permissions: ["read"] }), () => apiKeys.delete("k")]) {
    await refused(call, OFFLINE);
  }
  await client.close();
  await refused(() => client.storage(), { code: "closed" });
});
