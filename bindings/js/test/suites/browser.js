/** What is a browser's own: tabs, quota, data that is taken away, requests that are aborted. */

import { equal, ok, refused, test } from "../harness.js";

test("browser: what was written is there after closing and opening again", async ({ unisono, replica }) => {
  const name = replica();
  const first = await unisono.Client.open({ name });
  const id = await first.collection("samples").create("a", { n: 9007199254740993n });
  await first.close();
  const second = await unisono.Client.open({ name });
  equal(await second.collection("samples").get("a"), { n: 9007199254740993n });
  equal((await second.pending()).map((event) => event.id), [id]);
  await second.close();
});

test("browser: b46 a second client of one replica gets already_open, in another frame too", async (stage) => {
  const { unisono, replica } = stage;
  const name = replica();
  const first = await unisono.Client.open({ name });
  const taken = { code: "already_open", kind: "storage", retryable: false };
  await refused(() => unisono.Client.open({ name, wait_ms: 0 }), taken);
  // Waiting for it is no use while nobody closes it.
  await refused(() => unisono.Client.open({ name, wait_ms: 10 }), taken);
  // Another document, with a module of its own.
  const frame = document.createElement("iframe");
  frame.srcdoc = `<script type="importmap">{ "imports": { "unisono": "/dist/index.js" } }</script>
    <script type="module">import * as unisono from "unisono"; parent.postMessage("loaded"); window.unisono = unisono;</script>`;
  const loaded = new Promise((resolve) => addEventListener("message", resolve, { once: true }));
  document.body.append(frame);
  await loaded;
  const there = frame.contentWindow.unisono;
  let code;
  try {
    await there.Client.open({ name, wait_ms: 0 });
  } catch (error) {
    code = error.code;
  }
  equal(code, "already_open");
  await first.close();
  const second = await there.Client.open({ name });
  // Values of that document are values, too.
  await second.collection("samples").create("a", there.parseJson('{"n": [1, {"m": 9007199254740993}]}'));
  equal(await second.collection("samples").get("a"), { n: [1, { m: 9007199254740993n }] });
  const frames = new frame.contentWindow.Object();
  frames.n = frame.contentWindow.Array.of(1);
  const here = await unisono.Client.open({ name: replica() });
  await here.collection("samples").create("a", frames);
  equal(await here.collection("samples").get("a"), { n: [1] });
  await here.close();
  await refused(() => unisono.Client.open({ name, wait_ms: 0 }), taken);
  // A frame that goes takes its lock along, and who waits gets it.
  const third = unisono.Client.open({ name, wait_ms: Infinity });
  await queued(`unisono/${name}`);
  frame.remove();
  await (await third).close();
});

/** Waits until somebody waits for a lock. */
async function queued(name) {
  while (!(await navigator.locks.query()).pending.some((lock) => lock.name === name));
}

test("browser: a component that is mounted, unmounted and mounted again gets its client", async ({ unisono, replica }) => {
  const name = replica();
  // What React's StrictMode does to an effect that opens and whose cleanup closes.
  const mount = () => {
    let gone = false;
    const opened = unisono.Client.open({ name }).then(async (client) => {
      if (gone) await client.close();
      return client;
    });
    return { opened, unmount: () => (gone = true) };
  };
  const first = mount();
  first.unmount();
  const second = mount();
  const client = await second.opened;
  await client.collection("samples").create("a", {});
  await refused((await first.opened).collection("samples").get("a"), { code: "closed" });
  // The same, when the first was open already.
  const closing = client.close();
  const third = await unisono.Client.open({ name });
  await closing;
  equal(await third.collection("samples").get("a"), {});
  await third.close();
});

test("browser: openings of one name come one after the other, and a failed one stops nobody", async ({ unisono, replica }) => {
  const name = replica();
  const told = [];
  const open = (options) =>
    unisono.Client.open({ name, ...options }).then(
      (client) => (told.push("open"), client.close()),
      (error) => told.push(error.code),
    );
  await Promise.all([open(), open({ url: "sync.example.com" }), open()]);
  equal(told, ["open", "invalid_config", "open"]);
});

test("browser: the network's return is heard at once, unless the app has said that there is none", async (stage) => {
  const { unisono, replica, url, token } = stage;
  const client = await unisono.Client.open({ name: replica(), url, token: await token("ola") });
  const events = client.events();
  const until = async (wanted) => {
    for await (const event of { [Symbol.asyncIterator]: () => ({ next: () => events.next() }) }) if (wanted(event)) return;
  };
  const first = events.next();
  await client.start();
  await first;
  await until((event) => event.kind === "synced");
  const offline = (event) => event.kind === "state" && event.state.name === "offline" && event.state.next_try_ms === null;
  dispatchEvent(new Event("offline"));
  await until(offline);
  await client.collection("samples").create("a", {});
  dispatchEvent(new Event("online"));
  await until((event) => event.kind === "synced" && event.report.pushed === 1);
  // The app's word counts more.
  client.setOnline(false);
  await until(offline);
  dispatchEvent(new Event("online"));
  await client.collection("samples").create("b", {});
  equal(client.status().state, { name: "offline", next_try_ms: null });
  client.setOnline(true);
  await until((event) => event.kind === "synced");
  // A page that is looked at again syncs.
  document.dispatchEvent(new Event("visibilitychange"));
  await until((event) => event.kind === "synced");
  await client.close();
  dispatchEvent(new Event("online"));
});

test("browser: a client works in a worker, and owns its replica there", async ({ unisono, replica, url, token }) => {
  const options = { name: replica(), url, account: "will", token: await token("will") };
  const ask = (worker, more) =>
    new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.postMessage({ ...options, ...more });
    });
  const here = await unisono.Client.open(options);
  const worker = new Worker("/test/worker.js", { type: "module" });
  equal((await ask(worker, { wait_ms: 0 })).code, "already_open");
  await here.close();
  const { report, docs } = await ask(worker);
  equal([report.pushed, docs], [1, [{ n: 9007199254740993n }]]);
  worker.terminate();
});

test("browser: b46 without Web Locks two clients of one replica lose nothing of each other's", async (stage) => {
  const { unisono, replica } = stage;
  const name = replica();
  Object.defineProperty(navigator, "locks", { value: undefined, configurable: true });
  try {
    const [one, two] = await Promise.all([unisono.Client.open({ name }), unisono.Client.open({ name })]);
    const expected = [];
    for (let n = 0; n < 20; n += 1) {
      await Promise.all([
        one.collection("samples").create(`one ${n}`, { n }),
        two.collection("samples").create(`two ${n}`, { n }),
      ]);
      expected.push(`one ${n}`, `two ${n}`);
    }
    for (const client of [one, two]) {
      equal((await client.collection("samples").query()).map((row) => row.id), expected.sort());
      equal(new Set((await client.pending()).map((event) => event.id)).size, 40);
    }
    await one.close();
    equal((await two.collection("samples").query()).length, 40);
    await two.close();
  } finally {
    delete navigator.locks;
  }
  ok(navigator.locks, "the real ones are back");
});

test("browser: b42 b43 data that the browser clears is told, and never taken for an empty replica", async (stage) => {
  const { unisono, replica, devtools } = stage;
  const client = await unisono.Client.open({ name: replica() });
  const samples = client.collection("samples");
  await samples.create("a", {});
  await devtools("Storage.clearDataForOrigin", { origin: location.origin, storageTypes: "indexeddb" });
  for (const call of [() => samples.get("a"), () => samples.create("b", {}), () => samples.query()]) {
    await refused(call, { code: "storage_corrupt", kind: "storage", retryable: false });
  }
  await client.close();
});

/** Puts noise in the place of those rows of a store whose key, as text, is chosen. */
async function damage(name, store, chosen) {
  const done = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const database = await done(indexedDB.open(`unisono/${name}`));
  const rows = database.transaction(store, "readwrite").objectStore(store);
  const keys = (await done(rows.getAllKeys())).filter((key) => chosen(new TextDecoder("latin1").decode(key)));
  for (const key of keys) await done(rows.put(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1, 7, 7, 7), key));
  database.close();
  return keys.length;
}

test("browser: b35 a damaged replica is recovered with its unsent events", async (stage) => {
  const { unisono, replica, url, token } = stage;
  const options = { name: replica(), url, account: "rea of a damaged replica", token: await token("rea of a damaged replica") };
  const client = await unisono.Client.open(options);
  const samples = client.collection("samples");
  await samples.create("synced", { n: 0 });
  await client.syncNow();
  const unsent = [];
  for (const n of [1, 2, 3]) unsent.push(await samples.create(`unsent-${n}`, { n }));
  await refused(() => unisono.recover(options.name), { code: "already_open", kind: "storage" });
  await client.close();
  // Of what is unsent one event; and the row of the scope, without which nothing can be read.
  equal(await damage(options.name, "event", (key) => key.charCodeAt(key.length - 1) === 3), 1);
  equal(await damage(options.name, "meta", (key) => key === "scope\0user"), 1);
  const damaged = await unisono.Client.open(options);
  const corrupt = { code: "storage_corrupt", kind: "storage", retryable: false };
  await refused(() => damaged.collection("samples").get("synced"), corrupt);
  await damaged.close();

  const { kept_aside, ...report } = await unisono.recover(options.name);
  const expected = { events: 2, parked: 0, lost_events: [unsent[1]], damaged_rows: 1, log_lost: false, identity_kept: true };
  equal(report, { ...expected, records: report.records });
  ok((await indexedDB.databases()).some(({ name }) => name === `unisono/${kept_aside}`), kept_aside);
  const again = await unisono.Client.open(options);
  equal((await again.pending()).map((event) => event.id), [unsent[0], unsent[2]]);
  equal(await again.collection("samples").get("synced"), { n: 0 });
  equal((await again.syncNow()).pushed, 2);
  const other = await unisono.Client.open({ ...options, name: replica() });
  await other.syncNow();
  const rows = async (client) => (await client.collection("samples").query()).map(({ id, doc }) => [id, doc]);
  equal(await rows(other), [["synced", { n: 0 }], ["unsent-1", { n: 1 }], ["unsent-3", { n: 3 }]]);
  equal(await rows(again), await rows(other));
  await Promise.all([again.close(), other.close()]);
});

test("browser: a replica in memory makes no database, and is gone when it is closed", async ({ unisono }) => {
  for (const n of [1, 2]) {
    const client = await unisono.Client.open({ name: ":memory:", account: "mia" });
    equal(await client.collection("samples").get("kick"), null);
    await client.collection("samples").create("kick", { n });
    await client.close();
  }
  ok(!(await indexedDB.databases()).some(({ name }) => name.endsWith(":memory:")));
});

test("browser: a replica that is not there is not recovered, and not made", async ({ unisono, replica }) => {
  const name = replica();
  await refused(() => unisono.recover(name), { code: "storage_unavailable", kind: "storage" });
  ok(!(await indexedDB.databases()).some((database) => database.name === `unisono/${name}`));
  await refused(() => unisono.recover(7), { code: "invalid_id", kind: "invalid" });
});

test("browser: a request is aborted when nobody wants its answer any more", async (stage) => {
  const { unisono, replica } = stage;
  const real = globalThis.fetch;
  const signals = [];
  globalThis.fetch = (input, init) => {
    signals.push(init.signal);
    return new Promise((_, reject) => init.signal.addEventListener("abort", () => reject(init.signal.reason)));
  };
  try {
    const client = await unisono.Client.open({ name: replica(), url: location.origin, account: "abe", token: "t" });
    await client.collection("samples").create("a", {});
    await refused(() => client.syncNow({ deadlineMs: 30 }), { code: "deadline" });
    equal([signals.length, signals.every((signal) => signal.aborted)], [1, true]);
    await client.close();
  } finally {
    globalThis.fetch = real;
  }
});

test("browser: requests carry no cookies, follow no redirects, and use no cache", async (stage) => {
  const { unisono, replica, url, token } = stage;
  const good = await token("amy");
  const real = globalThis.fetch;
  const seen = [];
  globalThis.fetch = (input, init) => {
    seen.push(new Request(input, init));
    return real(input, init);
  };
  try {
    const client = await unisono.Client.open({ name: replica(), url, account: "amy", token: good });
    await client.collection("samples").create("b", {});
    await client.syncNow();
    await client.close();
  } finally {
    globalThis.fetch = real;
  }
  ok(seen.length >= 3, `${seen.length} requests`);
  for (const request of seen) {
    equal([request.credentials, request.redirect, request.cache], ["omit", "manual", "no-store"]);
  }
});

test("browser: the feed is read as it streams, and a cut one is not taken for whole", async (stage) => {
  const { unisono, replica, url, token } = stage;
  const good = await token("flo");
  const writer = await unisono.Client.open({ name: replica(), url, account: "flo", token: good });
  for (let n = 0; n < 30; n += 1) await writer.collection("samples").create(`s${n}`, { n });
  await writer.syncNow();
  await writer.close();
  const real = globalThis.fetch;
  // Hands the feed on one byte at a time, and at first only half of it.
  let cut = true;
  globalThis.fetch = async (input, init) => {
    const answer = await real(input, init);
    if (!String(input).includes("/sync/changes")) return answer;
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const end = cut ? bytes.length >> 1 : bytes.length;
    cut = false;
    let at = 0;
    const body = new ReadableStream({
      pull(stream) {
        if (at === end) stream.close();
        else stream.enqueue(bytes.slice(at, (at += 1)));
      },
    });
    return new Response(body, { status: answer.status, headers: answer.headers });
  };
  try {
    const reader = await unisono.Client.open({ name: replica(), url, account: "flo", token: good });
    await refused(() => reader.syncNow(), { code: "unreachable", kind: "offline", retryable: true });
    equal((await reader.syncNow()).pulled, 30);
    equal((await reader.collection("samples").query()).length, 30);
    await reader.close();
  } finally {
    globalThis.fetch = real;
  }
});
