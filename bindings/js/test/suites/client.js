/** The client's face, the same in every host. */

import { equal, ok, refused, test } from "../harness.js";

test("client: writes are seen at once, and are pending until a sync", async ({ unisono, replica, url, token }) => {
  const client = await unisono.Client.open({ name: replica(), url, account: "ann", token: await token("ann") });
  const samples = client.collection("samples");
  const first = await samples.create("kick", { name: "Kick", bpm: 120, tags: ["808"], plays: 1 });
  ok(/^[0-9a-f-]{36}$/.test(first), first);
  await samples.update("kick", { bpm: 128, note: "x" });
  await samples.update("kick", { note: null });
  const last = await samples.edit("kick").increment("/plays", 2).add("/tags", ["deep"]).set("/meta/by", "ann").commit();
  const doc = { name: "Kick", bpm: 128, tags: ["808", "deep"], plays: 3, meta: { by: "ann" } };
  equal(await samples.get("kick"), doc);
  equal(await samples.get("snare"), null);
  equal(await samples.state("kick"), "pending");
  const pending = await client.pending();
  // What was not sent yet is folded into one event, under the last id.
  equal(pending.map((event) => event.action), ["create"]);
  equal([pending[0].id, pending[0].key, pending[0].scope, pending[0].parked], [
    last,
    { collection: "samples", record: "kick" },
    "user",
    null,
  ]);
  equal(client.status().pending, 1);
  const report = await client.syncNow();
  equal([report.parked, report.conflicts], [0, 0]);
  equal(report.pushed, 1);
  equal([client.status().pending, await client.pending(), await client.parked()], [0, [], []]);
  equal(await samples.state("kick"), "synced");
  equal(await samples.get("kick"), doc);
  await samples.delete("kick");
  equal(await samples.get("kick"), null);
  await client.syncNow();
  await client.close();
});

test("client: queries filter, order, page, and refuse what they do not know", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica(), indexes: { samples: [["category", "bpm"]] } });
  const samples = client.collection("samples");
  for (let n = 0; n < 10; n += 1) await samples.create(`s${n}`, { category: n % 2 ? "bd" : "sd", bpm: 100 + n });
  const options = { where: { category: "bd", bpm: { $gt: 101 } }, order_by: { field: "bpm", desc: true }, limit: 3 };
  const page = await samples.query(options);
  equal(page.map((row) => row.id), ["s9", "s7", "s5"]);
  equal(page[0], { id: "s9", doc: { category: "bd", bpm: 109 }, revision: 0, state: "pending", basis: page[0].basis });
  const rest = await samples.query({ ...options, after: page.next });
  equal([rest.map((row) => row.id), rest.next], [["s3"], undefined]);
  await refused(() => samples.query({ wheer: {} }), { code: "invalid_query" });
  await refused(() => samples.query({ where: { bpm: { $near: 1 } } }), { code: "invalid_query" });
  await client.close();
});

test("client: what is there already is no edit, and put makes a record exactly so", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const samples = client.collection("samples");
  ok(await samples.put("kick", { name: "Kick", bpm: 120, tags: ["808"] }));
  const before = client.status().queued_bytes;
  equal(await samples.put("kick", { tags: ["808"], name: "Kick", bpm: 120 }), null);
  equal([await samples.update("kick", { bpm: 120 }), await samples.update("kick", {})], [null, null]);
  equal(await samples.edit("kick").set("/bpm", 120).add("/tags", ["808"]).commit(), null);
  equal([client.status().pending, client.status().queued_bytes], [1, before]);
  ok(await samples.put("kick", { name: "Kick", bpm: 121 }));
  equal(await samples.get("kick"), { name: "Kick", bpm: 121 });
  const told = await samples.putMany({ kick: { name: "Kick", bpm: 121 }, __proto__x: { n: 1 }, snare: { bpm: 9007199254740993n } });
  equal([told.kick, typeof told.__proto__x, typeof told.snare, Object.keys(told).length], [null, "string", "string", 3]);
  equal(await samples.get("snare"), { bpm: 9007199254740993n });
  // All are looked at before the first is written.
  const error = await refused(() => samples.putMany({ hat: { n: 1 }, rim: { n: NaN } }), { code: "invalid_number" });
  ok(error.message.startsWith("/rim/n: "), error.message);
  await refused(() => samples.putMany({ hat: { n: 1 }, "": { n: 1 } }), { code: "invalid_id" });
  await refused(() => samples.putMany([{ n: 1 }]), { code: "not_an_object" });
  equal([await samples.get("hat"), await samples.record("hat")], [null, null]);
  await client.close();
});

test("client: a write names the read that its user saw", async ({ unisono, replica, url, token }) => {
  const good = await token("sky");
  const open = () => unisono.Client.open({ name: replica(), url, token: good });
  const [desk, laptop] = [await open(), await open()];
  const [here, there] = [desk.collection("notes"), laptop.collection("notes")];
  await here.create("n", { body: "v0", title: "t" });
  for (const client of [desk, laptop]) await client.syncNow();
  const editor = await here.record("n");
  equal([editor.id, editor.doc, editor.state, editor.revision > 0], ["n", { body: "v0", title: "t" }, "synced", true]);
  equal((await here.query())[0], editor);
  await there.update("n", { body: "by the laptop" });
  for (const client of [laptop, desk]) await client.syncNow();
  // A pull arrived under the open editor: what it brought is not overwritten unseen.
  await here.save(editor, { body: "by the desk", title: "t" });
  await desk.syncNow();
  const [note] = await desk.conflicts();
  equal([note.path, [note.doc.winner, ...note.doc.losers].map((side) => side.value).sort()], [
    "/body",
    ["by the desk", "by the laptop"],
  ]);
  await desk.resolve(note);
  // In sight of the present, nothing is overwritten unseen.
  await here.update("n", { body: "seen" }, { seen: await here.record("n") });
  await desk.syncNow();
  equal(await desk.conflicts(), []);
  // A strict write by an old read is refused.
  await here.strict().edit(editor).set("/body", "strict").commit();
  equal((await desk.syncNow()).parked, 1);
  equal((await here.record("n")).state, "parked");
  await refused(() => here.update("other", {}, { seen: editor }), { code: "invalid_seen", kind: "invalid" });
  await refused(() => here.delete("n", { seen: { id: "n" } }), { code: "invalid_seen", kind: "invalid" });
  await refused(() => here.edit(null).set("/a", 1).commit(), { code: "invalid_id" });
  await Promise.all([desk.close(), laptop.close()]);
});

test("client: a watch tells the answer, then each change, and ends", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const samples = client.collection("samples");
  await samples.create("a", { category: "bd" });
  const seen = [];
  for await (const rows of samples.watch({ where: { category: "bd" }, order_by: "name" })) {
    seen.push(rows.map((row) => row.id).join());
    if (seen.length === 1) await samples.create("b", { category: "bd" });
    if (seen.length === 2) await samples.update("a", { category: "sd" });
    if (seen.length === 3) break;
  }
  equal(seen, ["a", "a,b", "b"]);
  // An end that is called for while a step waits; and the end of the client.
  const watch = samples.watch();
  await watch.next();
  const waiting = watch.next();
  await watch.return();
  equal(await waiting, { done: true, value: undefined });
  equal(await watch.next(), { done: true, value: undefined });
  const last = samples.watch();
  await last.next();
  const until = last.next();
  await client.close();
  equal((await until).done, true);
});

test("client: events tell of writes and syncs", async ({ unisono, replica, url, token }) => {
  const client = await unisono.Client.open({ name: replica(), url, account: "eve", token: await token("eve") });
  const events = client.events();
  const first = events.next();
  const id = await client.collection("samples").create("a", {});
  const told = [(await first).value, (await events.next()).value];
  equal(told.find((event) => event.kind === "changed")?.key, { collection: "samples", record: "a" });
  const accepted = told.find((event) => event.kind === "event");
  equal([accepted?.id, accepted?.outcome.state], [id, "pending"]);
  await client.syncNow();
  for await (const event of events) {
    if (event.kind !== "synced") continue;
    equal([event.scope, event.report.pushed], ["user", 1]);
    break;
  }
  await client.close();
});

test("client: start syncs in the background, both ways", async ({ unisono, replica, url, token }) => {
  const open = async () =>
    unisono.Client.open({ name: replica(), url, account: "sue", token: () => token("sue") });
  const [one, two] = [await open(), await open()];
  await one.start();
  await one.collection("samples").create("a", { n: 1 });
  for await (const event of one.events()) {
    if (event.kind === "synced" && (await one.pending()).length === 0) break;
  }
  const watch = two.collection("samples").watch();
  equal((await watch.next()).value, []);
  await two.start();
  equal((await watch.next()).value[0].doc, { n: 1 });
  await Promise.all([one.close(), two.close()]);
});

test("client: b6 a token function is asked first, and again when the server refuses", async (stage) => {
  const { unisono, replica, url, token } = stage;
  const asked = [];
  const good = await token("tom");
  const client = await unisono.Client.open({
    name: replica(),
    url,
    account: "tom",
    token: async (reason) => {
      asked.push(reason);
      return reason === "first" ? "not.a.token" : good;
    },
  });
  await client.collection("samples").create("a", {});
  equal((await client.syncNow()).pushed, 1);
  equal(asked, ["first", "refused"]);
  await client.close();
});

test("client: b5 a token that is refused for good keeps the queue, and shows in the status", async (stage) => {
  const { unisono, replica, url, token } = stage;
  const client = await unisono.Client.open({ name: replica(), url, account: "ted", token: "not.a.token" });
  await client.collection("samples").create("a", {});
  await refused(() => client.syncNow(), { code: "auth_required", kind: "auth", retryable: false });
  equal([client.status().state, client.status().pending], [{ name: "auth_required" }, 1]);
  client.setToken(await token("ted"));
  equal((await client.syncNow()).pushed, 1);
  await client.close();

  const failing = () => {
    throw new Error("the keychain is locked");
  };
  const other = await unisono.Client.open({ name: replica(), url, account: "ted", token: failing });
  const error = await refused(() => other.syncNow(), { code: "auth_required" });
  ok(error.message.includes("the keychain is locked"), error.message);
  await other.close();
});

test("client: the account is read from the token, and another one is refused", async (stage) => {
  const { unisono, replica, url, token } = stage;
  const client = await unisono.Client.open({ name: replica(), url, token: await token("amy") });
  await client.collection("samples").create("a", {});
  equal((await client.syncNow()).pushed, 1);
  await client.close();
  const wrong = { name: replica(), url, account: "ben", token: await token("amy") };
  await refused(() => unisono.Client.open(wrong), { code: "identity_mismatch", kind: "auth" });
});

test("client: b50 a closed client says so, however often it is closed", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const samples = client.collection("samples");
  await Promise.all([client.close(), client.close()]);
  await client.close();
  const closed = { name: "UnisonoError", code: "closed", kind: "closed", retryable: false };
  for (const call of [
    () => samples.create("a", {}),
    () => samples.get("a"),
    () => samples.query(),
    () => samples.watch().next(),
    () => client.pending(),
    () => client.syncNow(),
    () => client.start(),
  ]) {
    const error = await refused(call, closed);
    ok(unisono.isUnisonoError(error) && error instanceof Error);
  }
  ok(!unisono.isUnisonoError(new Error("x")) && !unisono.isUnisonoError({ code: "closed" }));
});

test("client: options that do not fit are refused", async ({ unisono, replica }) => {
  const name = replica();
  const invalid = { code: "invalid_config", kind: "invalid" };
  for (const options of [
    undefined,
    {},
    { name: "" },
    { name, ulr: "http://127.0.0.1:1" },
    { name, url: "http://sync.example.com" },
    { name, url: "ftp://127.0.0.1" },
    { name, url: "sync.example.com" },
    { name, url: "https://user:hunter2@example.com" },
    { name, durability: "some" },
    { name, indexes: { samples: ["bpm"] } },
    { name, schema: 1.5 },
    { name, sync_interval_ms: 0 },
    { name, sync_interval_ms: "60" },
    { name, wait_ms: -1 },
    { name, wait_ms: NaN },
    { name: 7 },
  ]) {
    const error = await refused(() => unisono.Client.open(options), invalid);
    ok(!error.message.includes("hunter2"), error.message);
  }
});

test("client: b49 callbacks may call whatever they like", async ({ unisono, replica, url, token }) => {
  const good = await token("liv");
  let client;
  client = await unisono.Client.open({
    name: replica(),
    url,
    account: "liv",
    token: async () => {
      if (client) {
        client.status();
        await client.collection("samples").create("from-callback", {});
        await client.pending();
      }
      return good;
    },
  });
  await client.collection("samples").create("a", {});
  ok((await client.syncNow()).pushed >= 1, "something was pushed");
  equal((await client.collection("samples").query()).length, 2);
  await client.close();
});

test("client: a deadline ends a wait, and leaves the queue", async ({ unisono, replica, url, token }) => {
  const client = await unisono.Client.open({
    name: replica(),
    url,
    account: "dan",
    token: () => new Promise(() => {}),
  });
  await client.collection("samples").create("a", {});
  await refused(() => client.syncNow({ deadlineMs: 20 }), { code: "deadline", kind: "offline", retryable: true });
  equal((await client.pending()).length, 1);
  client.setToken(await token("dan"));
  equal((await client.syncNow()).pushed, 1);
  await client.close();
});

test("client: a server that is not there is offline, and retryable", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica(), url: "http://127.0.0.1:1", account: "a", token: "t" });
  await client.collection("samples").create("a", {});
  await refused(() => client.syncNow(), { code: "unreachable", kind: "offline", retryable: true });
  equal(client.status().state.name, "offline");
  ok(client.status().state.next_try_ms >= 0);
  await client.close();
});

test("client: a workspace's conflict tells its scope and is resolved", async ({ unisono, replica, url, token }) => {
  const open = async (user) => {
    const client = await unisono.Client.open({ name: replica(), url, token: await token(user, "duo") });
    await client.workspace("duo").subscribe();
    return client;
  };
  const [ann, ben] = [await open("ann"), await open("ben")];
  const songs = (client) => client.workspace("duo").collection("songs");
  await songs(ann).create("song", { title: "one" });
  for (const client of [ann, ben]) await client.syncNow();
  await songs(ann).update("song", { title: "by ann" });
  await songs(ben).update("song", { title: "by ben" });
  for (const client of [ann, ben, ann]) await client.syncNow();
  const [note, ...others] = await ann.conflicts();
  equal(others, []);
  equal([note.scope, note.collection, note.record, note.path], ["workspace:duo", "songs", "song", "/title"]);
  equal([note.doc.winner, ...note.doc.losers].map((side) => side.value).sort(), ["by ann", "by ben"]);
  ok(note.revision > 0);
  await refused(() => ann.resolve({ id: note.id, scope: "user" }), { code: "not_found" });
  await ann.resolve(note);
  equal(await ann.conflicts(), []);
  // Another member finds it by its id.
  await ben.resolve(note.id);
  for (const client of [ann, ben]) await client.syncNow();
  equal([await ann.conflicts(), await ben.conflicts()], [[], []]);
  await Promise.all([ann.close(), ben.close()]);
});

test("client: events that are first asked for after the end have ended", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const [before, waiting] = [client.events(), client.events()];
  const last = waiting.next();
  await client.close();
  const done = { done: true, value: undefined };
  equal([await before.next(), await client.events().next(), await last, await waiting.next()], [done, done, done, done]);
});

test("client: without background sync the state is idle, and `started` says so", async (stage) => {
  const { unisono, replica, url, token } = stage;
  const client = await unisono.Client.open({ name: replica(), url, token: await token("ida") });
  const told = () => [client.status().state.name, client.status().started];
  equal(told(), ["idle", false]);
  await client.syncNow();
  equal([...told(), client.status().scopes.user.state.name], ["idle", false, "idle"]);
  await client.start();
  equal(client.status().started, true);
  await client.close();
});

test("client: background sync comes at the interval that was asked for", async (stage) => {
  const { unisono, replica, url, token } = stage;
  const good = await token("ivy");
  const client = await unisono.Client.open({ name: replica(), url, token: good, sync_interval_ms: 5 });
  const events = client.events();
  const first = events.next();
  await client.start();
  let synced = 0;
  for (let event = (await first).value; synced < 3; event = (await events.next()).value) {
    if (event.kind === "synced") synced += 1;
  }
  await client.close();
});

test("client: the doctor says what is wrong, and each finding can be cured", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const codes = async () => (await client.doctor()).map((finding) => finding.code);
  const [first] = await client.doctor();
  equal([first.severity, first.code], ["problem", "anonymous"]);
  await client.claim("ann");
  await client.disable();
  client.pause();
  const found = await codes();
  equal(["anonymous", "disabled", "paused"].map((code) => found.includes(code)), [false, true, true]);
  await client.enable();
  await client.resume();
  const cured = await codes();
  equal(["disabled", "paused"].map((code) => cured.includes(code)), [false, false]);
  await client.close();
});

test("client: b62 a large value that lost is read from its note's reference", async ({ unisono, replica, url, token }) => {
  const open = async () => unisono.Client.open({ name: replica(), url, account: "lou", token: await token("lou") });
  const [desk, laptop] = [await open(), await open()];
  await desk.collection("notes").create("n", { body: "short" });
  for (const client of [desk, laptop]) await client.syncNow();
  const seen = await desk.collection("notes").record("n");
  const body = "a long story ".repeat(2000);
  await laptop.collection("notes").update("n", { body });
  for (const client of [laptop, desk]) await client.syncNow();
  await desk.collection("notes").update("n", { body: "a short one" }, { seen });
  for (const client of [desk, laptop]) await client.syncNow();
  for (const client of [desk, laptop]) {
    const [note] = await client.conflicts();
    const [loser] = note.doc.losers;
    ok(!("value" in loser));
    const { sha256 } = loser.value_ref;
    equal([await client.conflictValue(note, sha256), await client.conflictValue(note.id, sha256)], [body, body]);
    await refused(() => client.conflictValue(note, "0".repeat(64)), { code: "not_found" });
    await client.close();
  }
});

test("client: a refused event is replaced, and applied", async ({ unisono, replica, url, token }) => {
  const open = async () => unisono.Client.open({ name: replica(), url, account: "rea", token: await token("rea") });
  const [desk, laptop] = [await open(), await open()];
  await desk.collection("samples").create("kick", { plays: 1 });
  await desk.syncNow();
  await laptop.syncNow();
  await laptop.collection("samples").update("kick", { plays: "many" });
  await laptop.syncNow();
  const refusedEvent = await desk.collection("samples").edit("kick").increment("/plays", 1).commit();
  await desk.syncNow();
  equal((await desk.parked()).map((event) => event.id), [refusedEvent]);
  await desk.replace(refusedEvent, { plays: 7 });
  await desk.syncNow();
  await laptop.syncNow();
  equal(await laptop.collection("samples").get("kick"), { plays: 7 });
  await refused(() => desk.replace(refusedEvent, { plays: 1 }), { code: "event_state" });
  await desk.close();
  await laptop.close();
});
