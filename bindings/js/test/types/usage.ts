/** What an app writes, and what it must not get past the compiler. Compiled, never run. */

import { type ApiKey, Client, isUnisonoError, type IssuedApiKey, type RecoveryReport, recover, type Row, type SyncReport, type Value } from "unisono";

interface Sample {
  name: string;
  bpm: number;
  tags?: string[];
  meta?: { artist: string; year: number };
}

export async function usage(token: () => Promise<string>): Promise<SyncReport> {
  await using client = await Client.open({ name: "library", url: "https://sync.example.com", account: "alice", token });
  const samples = client.collection<Sample>("samples");
  await samples.create("kick-01", { name: "Kick", bpm: 120 });
  await samples.update("kick-01", { bpm: 128, tags: null, meta: { year: 1983 } });
  await samples.edit("kick-01").increment("/plays", 1n).add("/tags", ["808"]).text("/notes", [3, "x", { d: 1 }]).commit();
  const kick: Row<Sample> | null = await samples.record("kick-01");
  if (kick) {
    const event: string | null = await samples.save(kick, { ...kick.doc, bpm: 130 });
    await samples.update(kick.id, { name: event ?? kick.state }, { seen: kick });
    await samples.strict().edit(kick).set("/name", "Kick").commit();
  }
  await samples.put("kick-03", { name: "Kick", bpm: 120 }, { seen: undefined });
  await samples.putMany({ "kick-04": { name: "Kick", bpm: 120 } });
  for (const note of await client.conflicts()) {
    const lost: Value = await client.conflictValue(note, "");
    if (lost !== null) await client.resolve(note);
  }
  const recovered: RecoveryReport = await recover("library");
  const asides: string[] = [recovered.kept_aside, ...recovered.lost_events];
  for (const aside of asides) await recover(aside, new URL("https://example.com/recovery.wasm"));
  const issued: IssuedApiKey = await client.apiKeys.create({ name: "Sampler", provider: "plugin", permissions: ["read"] });
  const key: ApiKey = await client.apiKeys.rename(issued.key.key_id, issued.secret.reveal());
  await client.apiKeys.rotate(key.key_id, { overlapS: (await client.storage()).stats.storage_quota ?? 0 });
  const bpm: number | undefined = (await samples.get("kick-01"))?.bpm;
  const rows: Row<Sample>[] = await samples.query({ where: { bpm: { $ge: bpm ?? 0 } }, order_by: [{ field: "bpm", desc: true }] });
  for await (const watched of samples.watch({ where: { name: "Kick" } })) rows.push(...watched);
  for await (const event of client.events()) {
    if (event.kind === "event" && event.outcome.state === "applied") console.log(event.outcome.receipt.status);
    if (event.kind === "state" && event.state.name === "offline") console.log(event.state.next_try_ms ?? 0);
  }

  // @ts-expect-error: a field of another type
  await samples.create("kick-02", { name: "Kick", bpm: "fast" });
  // @ts-expect-error: a field that is missing
  await samples.create("kick-02", { name: "Kick" });
  // @ts-expect-error: an option that there is not
  await Client.open({ name: "library", ulr: "https://sync.example.com" });
  // @ts-expect-error: a document that is not whole
  await samples.put("kick-02", { name: "Kick" });
  // @ts-expect-error: an option that there is not
  await samples.query({ orderBy: "name" });
  // @ts-expect-error: a permission that there is not
  await client.apiKeys.create({ name: "Sampler", permissions: ["admin"] });
  // @ts-expect-error: a secret is no text
  const told: string = issued.secret;
  // @ts-expect-error: the constructor is not the way
  new Client();
  try {
    return await client.syncNow({ deadlineMs: 1000 });
  } catch (error) {
    if (isUnisonoError(error) && error.kind === "offline" && error.retryable) console.log(error.code);
    throw error;
  }
}
