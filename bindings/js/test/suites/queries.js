/** Random queries on random documents: IndexedDB gives the rows that SQLite gives, in the same order. */

import { equal, ok, seeded, test } from "../harness.js";

const FIELDS = ["a", "b", "/c/d", "c"];
const INDEXES = [["a"], ["a", "b"], ["b", "/c/d"], ["/c/d", "a", "b"]];
const DOCUMENTS = 120;
const QUERIES = 400;

/** Few values, at the places where backends differ, so that conditions often meet. */
function value(random) {
  const pick = random.pick([
    () => random.below(6) - 2,
    () => random.below(6) - 2,
    () => random.pick([0.5, -0.0, 1e300, -1e-300, 9007199254740991, 9007199254740992n, 9007199254740993n]),
    () => random.pick([18446744073709551615n, -9223372036854775808n, 9007199254740992]),
    () => random.pick(["", "a", "ab", "b", "ba", "ä", "Z", "\uffff", "\u{1f941}"]),
    () => "x".repeat(300) + random.pick(["a", "b"]),
    () => null,
    () => random.chance(50),
    () => random.pick([[], [1], [1, 2], ["a"], [[1]]]),
    () => random.pick([{}, { d: 1 }]),
  ]);
  return pick();
}

function document(random) {
  const doc = {};
  if (random.chance(80)) doc.a = value(random);
  if (random.chance(80)) doc.b = value(random);
  if (random.chance(80)) doc.c = { d: value(random) };
  return doc;
}

function filter(random, depth = 0) {
  if (depth < 3 && random.chance(30)) {
    const several = () => Array.from({ length: random.below(4) }, () => filter(random, depth + 1));
    return random.pick([() => ({ $and: several() }), () => ({ $or: several() }), () => ({ $not: filter(random, depth + 1) })])();
  }
  const field = random.pick(FIELDS);
  const condition = random.pick([
    () => ({ $eq: value(random) }),
    () => ({ $ne: value(random) }),
    () => ({ $lt: value(random) }),
    () => ({ $le: value(random) }),
    () => ({ $gt: value(random) }),
    () => ({ $ge: value(random), $lt: value(random) }),
    () => ({ $in: Array.from({ length: random.below(4) }, () => value(random)) }),
    () => ({ $contains: value(random) }),
    () => ({ $prefix: random.pick(["", "a", "b", "x", "x".repeat(299)]) }),
    () => ({ $exists: random.chance(50) }),
  ]);
  return { [field]: condition() };
}

function options(random) {
  const by = () => {
    const field = random.pick(FIELDS);
    return random.chance(50) ? field : { field, desc: random.chance(70) };
  };
  return {
    ...(random.chance(85) ? { where: filter(random) } : {}),
    ...(random.chance(70) ? { order_by: Array.from({ length: random.below(3) }, by) } : {}),
    ...(random.chance(30) ? { limit: 1 + random.below(12) } : {}),
  };
}

test("queries: random filters and orders give SQLite's rows in SQLite's order, indexed and not", async (stage) => {
  const { unisono, replica, nativeDevice } = stage;
  const random = seeded(2026);
  const take = await nativeDevice("quinn", INDEXES.map((fields) => `indexed:${fields.join(",")}`));
  const native = async (step) => {
    const answer = unisono.parseJson(await take(unisono.canonicalJson(step)));
    ok("ok" in answer, unisono.canonicalJson(answer));
    return answer.ok;
  };
  const client = await unisono.Client.open({ name: replica(), indexes: { indexed: INDEXES } });
  for (let n = 0; n < DOCUMENTS; n += 1) {
    const doc = document(random);
    for (const collection of ["indexed", "plain"]) {
      await client.collection(collection).create(`r${n}`, doc);
      await native({ do: "create", collection, id: `r${n}`, doc });
    }
  }
  let found = 0;
  for (let n = 0; n < QUERIES; n += 1) {
    const query = options(random);
    const expected = await native({ do: "query", collection: "indexed", options: query });
    for (const collection of ["indexed", "plain"]) {
      const rows = await client.collection(collection).query(query);
      equal(rows.map((row) => row.id), expected, `query ${n} on ${collection}: ${unisono.canonicalJson(query)}`);
    }
    found += expected.length;
  }
  ok(found > QUERIES, `only ${found} rows were found in all: the queries ask too much`);
  await client.close();
});
