/** Values cross exactly, or not at all. */

import { equal, ok, refused, test } from "../harness.js";

test("values: what is written is what is read, with its type", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const values = client.collection("values");
  const doc = {
    nothing: null,
    flags: [true, false],
    small: [0, 1, -1, 9007199254740991, -9007199254740991],
    large: [9007199254740992n, 9007199254740993n, -9223372036854775808n, 9223372036854775807n, 18446744073709551615n],
    doubles: [0.1, -2.5e-7, 1e300, 5e-324, 1.7976931348623157e308, 9007199254740992, 1e20, 123456789012345680000],
    text: ["", "ä", "👩‍💻", "\u{10ffff}", "\u2028", "12345678901234567890", "\\\"/"],
    deep: { a: { b: { c: [[[]], {}] } } },
    __proto__x: 1,
  };
  const before = structuredClone(doc);
  await values.create("v", doc);
  equal(await values.get("v"), before);
  equal(doc, before, "the app's object is left alone");
  // And through a query, and in JSON.
  equal((await values.query())[0].doc, before);
  equal(unisono.parseJson(unisono.canonicalJson(doc)), before);
  await client.close();
});

test("values: b30 integers that a number can hold are numbers, and never rounded", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const values = client.collection("values");
  await values.create("v", { small: 5n, zero: -0, whole: 3.0, sum: 9007199254740991 });
  equal(await values.get("v"), { small: 5, zero: 0, whole: 3, sum: 9007199254740991 });
  await values.edit("v").increment("/sum", 2).commit();
  equal((await values.get("v")).sum, 9007199254740993n);
  await values.edit("v").increment("/sum", -9007199254740993n).commit();
  equal((await values.get("v")).sum, 0);
  await client.close();
});

test("values: a key may have any name, `__proto__` too", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const values = client.collection("values");
  for (const long of [1, 9007199254740993n]) {
    const doc = Object.fromEntries([["__proto__", { polluted: long }], ["constructor", 1], ["", 2]]);
    await values.create(`v${long}`, doc);
    const read = await values.get(`v${long}`);
    equal(Object.keys(read).sort(), ["", "__proto__", "constructor"]);
    equal(Object.getOwnPropertyDescriptor(read, "__proto__").value, { polluted: long });
    ok({}.polluted === undefined && read.polluted === undefined);
  }
  await client.close();
});

test("values: as in JSON, undefined members are left out and toJSON is heard", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const values = client.collection("values");
  class Sample {
    name = "kick";
    missing = undefined;
    #secret = 1;
  }
  await values.create("v", new Sample());
  equal(await values.get("v"), { name: "kick" });
  await values.update("v", { name: undefined, made: new Date(0) });
  equal(await values.get("v"), { name: "kick", made: "1970-01-01T00:00:00.000Z" });
  await client.close();
});

test("values: b31 what JSON would change in silence is refused", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const values = client.collection("values");
  const cycle = {};
  cycle.self = cycle;
  const cases = [
    [{ x: NaN }, "invalid_number"],
    [{ x: Infinity }, "invalid_number"],
    [{ x: 18446744073709551616n }, "invalid_number"],
    [{ x: -9223372036854775809n }, "invalid_number"],
    [{ x: "\ud800" }, "lone_surrogate"],
    [{ "\udc00": 1 }, "lone_surrogate"],
    [{ x: "a\u0000b" }, "nul_character"],
    [{ x: [undefined] }, "invalid_json"],
    [{ x: () => 1 }, "invalid_json"],
    [{ x: Symbol("s") }, "invalid_json"],
    [{ x: new Map([[1, 2]]) }, "invalid_json"],
    [{ x: new Set([1]) }, "invalid_json"],
    [{ x: new Uint8Array(2) }, "invalid_json"],
    [{ x: Promise.resolve(1) }, "invalid_json"],
    [{ $x: 1 }, "reserved_name"],
    [cycle, "nesting_too_deep"],
    [[1], "not_an_object"],
    [7, "not_an_object"],
    [undefined, "invalid_json"],
    [{ x: "x".repeat(1 << 20) }, "document_too_large"],
  ];
  for (const [doc, code] of cases) {
    await refused(() => values.create("v", doc), { name: "UnisonoError", code, kind: "invalid", retryable: false });
  }
  for (const id of ["", "x".repeat(257), "a\u0000", 7, undefined, null]) {
    await refused(() => values.create(id, {}), { code: "invalid_id" });
  }
  await refused(() => values.create("\ud800", {}), { code: "lone_surrogate" });
  equal(await values.query(), []);
  await client.close();
});

test("values: what throws when it is read refuses the call, names the field, and leaves the client alone", async (stage) => {
  const { unisono, replica } = stage;
  const client = await unisono.Client.open({ name: replica() });
  const values = client.collection("values");
  await values.create("here", { n: 1 });
  const boom = new RangeError("boom");
  const throwing = () => {
    throw boom;
  };
  const revoked = (target) => {
    const { proxy, revoke } = Proxy.revocable(target, {});
    revoke();
    return proxy;
  };
  const cases = [
    [{ get a() { throw boom; } }, "/v/a", boom],
    [new Proxy({ a: 1 }, { ownKeys: throwing }), "/v", boom],
    [new Proxy({ a: 1 }, { get: throwing }), "/v", boom],
    [new Proxy({ a: 1 }, { getOwnPropertyDescriptor: throwing }), "/v", boom],
    [new Proxy([1], { get: throwing }), "/v", boom],
    [{ toJSON: throwing }, "/v", boom],
    [{ get [Symbol.toStringTag]() { throw boom; } }, "/v", boom],
    [[0, { get "a/b~c"() { throw boom; } }], "/v/1/a~1b~0c", boom],
    // A draft that outlives its producer.
    [revoked({ a: 1 }), "/v"],
    [revoked([1]), "/v"],
    [{ toJSON: () => revoked({}) }, "/v"],
  ];
  const refusal = { name: "UnisonoError", code: "invalid_json", kind: "invalid", retryable: false };
  for (const [v, field, cause] of cases) {
    const calls = [
      [() => values.create("new", { v }), field],
      [() => values.update("here", { v }), field],
      [() => values.edit("here").set("/v", v).commit(), field],
      [() => values.edit("here").increment("/n", 1).add("/v", v).commit(), field],
      [() => values.query({ where: { v } }), `/where${field}`],
      [() => values.watch({ where: { v } }).next(), `/where${field}`],
      [() => unisono.canonicalJson({ v }), field],
    ];
    for (const [call, place] of calls) {
      const error = await refused(call, refusal);
      ok(error.message.startsWith(`${place}: `), error.message);
      if (cause) ok(error.cause === cause, "the app's own error is the cause");
    }
  }
  await refused(() => unisono.Client.open({ get name() { throw boom; } }), { code: "invalid_config" });
  await refused(() => unisono.Client.open(revoked({})), { code: "invalid_config" });
  equal((await values.query()).map((row) => [row.id, row.doc]), [["here", { n: 1 }]]);
  await client.close();
});

test("values: an error names the field, in a document, an edit and a query", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const values = client.collection("values");
  await values.create("here", {});
  const cases = [
    [() => values.create("v", { meta: { bpm: NaN } }), "invalid_number", "/meta/bpm: NaN"],
    [() => values.update("here", { tags: [1, "\ud800"] }), "lone_surrogate", "/tags/1: "],
    [() => values.update("here", { meta: { "\udc00": 1 } }), "lone_surrogate", "/meta: "],
    [() => values.create("v", { a: [{ b: new Map() }] }), "invalid_json", "/a/0/b: [object Map]"],
    [() => values.create("v", { a: [1, undefined] }), "invalid_json", "/a/1: undefined"],
    [() => values.create("v", { n: 2n ** 64n }), "invalid_number", "/n: "],
    [() => values.edit("here").set("/meta", { at: Infinity }).commit(), "invalid_number", "/meta/at: Infinity"],
    [() => values.edit("here").set("/meta", undefined).commit(), "invalid_json", "/meta: undefined"],
    [() => values.edit("here").increment("/plays", NaN).commit(), "invalid_number", "/plays: NaN"],
    [() => values.query({ where: { bpm: { $ge: NaN } } }), "invalid_number", "/where/bpm/$ge: NaN"],
    [() => values.create("v", undefined), "invalid_json", "the value: undefined"],
  ];
  for (const [call, code, words] of cases) {
    const error = await refused(call, { code, kind: "invalid" });
    ok(error.message.startsWith(words), error.message);
  }
  await client.close();
});

test("values: a value is read when it is given, and once", async ({ unisono, replica }) => {
  const client = await unisono.Client.open({ name: replica() });
  const values = client.collection("values");
  let read = 0;
  const doc = { get n() { return (read += 1); }, m: 1 };
  const writing = values.create("v", doc);
  doc.m = 2;
  await writing;
  equal([await values.get("v"), read], [{ n: 1, m: 1 }, 1]);
  await client.close();
});
