/** A browser device and a native device of one account: apart, then in unison. */

import { equal, ok, test } from "../harness.js";

test("convergence: b13 a browser and a native device edit the same records offline and end with equal bytes", async (stage) => {
  const { unisono, replica, url, token, nativeDevice } = stage;
  const name = replica();
  const open = async () => unisono.Client.open({ name, url, account: "una", token: await token("una") });
  let browser = await open();
  let samples = browser.collection("samples");
  const take = await nativeDevice("una");
  const native = async (step) => {
    const answer = unisono.parseJson(await take(unisono.canonicalJson({ collection: "samples", ...step })));
    ok("ok" in answer, unisono.canonicalJson(answer));
    return answer.ok;
  };
  const canonical = async () => {
    const rows = await samples.query();
    return unisono.canonicalJson(Object.fromEntries(rows.map((row) => [row.id, row.doc])));
  };

  // Both begin offline; one record has the same name on both.
  for (let n = 0; n < 40; n += 1) {
    await samples.create(`b${n}`, { from: "browser", n, big: 9007199254740993n + BigInt(n), tags: ["x"], plays: 0 });
    await native({ do: "create", id: `n${n}`, doc: { from: "native", n: n / 3, tags: ["y"], plays: 0 } });
  }
  await samples.create("shared", { name: "browser", plays: 1, tags: ["808"], notes: "deep", keep: 1 });
  await native({ do: "create", id: "shared", doc: { name: "native", plays: 10, tags: ["909"], keep: 2 } });
  await browser.syncNow();
  await native({ do: "sync" });
  await browser.syncNow();
  equal(await canonical(), await native({ do: "canonical" }), "after the first meeting");

  // Apart again, on each other's records: fields, counters, sets, texts, deletes, revivals.
  for (let n = 0; n < 40; n += 1) {
    const [mine, theirs] = [`b${n}`, `n${n}`];
    await samples.edit(theirs).increment("/plays", 2).add("/tags", ["browser"]).set("/meta/browser", n).commit();
    await native({ do: "edit", id: theirs, ops: [{ op: "inc", path: "/plays", by: 3 }, { op: "remove", path: "/tags", values: ["y"] }] });
    await native({ do: "update", id: mine, patch: { from: `native ${n}`, meta: { native: n } } });
    if (n % 4 === 0) await samples.update(mine, { from: "browser again", "\u{10ffff}": null });
    if (n % 5 === 0) await native({ do: "delete", id: mine });
    if (n % 7 === 0) await samples.delete(theirs);
    if (n % 14 === 0) await samples.create(theirs, { from: "browser, revived" });
  }
  await samples.edit("shared").text("/notes", [4, " and round"]).commit();
  await native({ do: "edit", id: "shared", ops: [{ op: "text", path: "/notes", edit: ["very "] }] });
  // A reload in between loses nothing.
  const unsent = (await browser.pending()).length;
  await browser.close();
  browser = await open();
  samples = browser.collection("samples");
  equal((await browser.pending()).length, unsent);
  ok(unsent > 40);

  await native({ do: "sync" });
  await browser.syncNow();
  await native({ do: "sync" });
  await browser.syncNow();
  equal(await browser.parked(), []);
  const state = await canonical();
  equal(state, await native({ do: "canonical" }), "after the second meeting");
  const shared = await samples.get("shared");
  // Of two edits of one text one is shown, and the other is in the inbox.
  ok(["very deep", "deep and round"].includes(shared.notes), shared.notes);
  ok((await browser.conflicts()).some(({ doc }) => doc.record === "shared" && doc.path === "/notes"));
  equal((await samples.get("n1")).plays, 5);
  equal((await samples.get("n1")).tags, ["browser"]);
  equal((await browser.pending()).length + (await browser.parked()).length, 0);
  ok(state.includes("9007199254740994"), "integers beyond 2^53 came through exactly");

  // And a replica that was not there from the beginning.
  const late = await unisono.Client.open({ name: replica(), url, account: "una", token: await token("una") });
  await late.syncNow();
  const rows = await late.collection("samples").query();
  equal(unisono.canonicalJson(Object.fromEntries(rows.map((row) => [row.id, row.doc]))), state, "a third device");
  await late.close();
  await browser.close();
});
