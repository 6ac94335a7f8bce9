/**
 * The tests' own runner, the same in Node and in a page: tests register themselves, run one after the other, and are told
 * in the words of the Rust test harness, which `cargo xtask test` counts.
 */

const tests = [];

/** Registers a test. `run` gets what its host gives: see `stage.js`. */
export function test(name, run) {
  tests.push({ name, run });
}

/** Runs all tests that were registered, and tells each line. */
export async function runAll(stage, tell) {
  const failures = [];
  await tell(`running ${tests.length} tests`);
  for (const { name, run } of tests) {
    const began = Date.now();
    try {
      await run(stage);
      await tell(`test ${name} ... ok (${Date.now() - began} ms)`);
    } catch (error) {
      failures.push(name);
      await tell(`test ${name} ... FAILED\n    ${error?.code ?? ""} ${error?.stack ?? error}`);
    }
  }
  const verdict = failures.length === 0 ? "ok" : "FAILED";
  const passed = tests.length - failures.length;
  await tell(`test result: ${verdict}. ${passed} passed; ${failures.length} failed; 0 ignored; 0 measured`);
  return failures.length === 0;
}

/** Fails unless `condition` holds. */
export function ok(condition, message) {
  if (!condition) throw new Error(message ?? "it does not hold");
}

function shown(value) {
  const replacer = (_, member) => {
    if (typeof member === "bigint") return `${member}n`;
    if (member === undefined) return "undefined";
    if (Number.isNaN(member) || Object.is(member, -0)) return String(member);
    if (member && typeof member === "object" && !Array.isArray(member)) {
      return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
    }
    return member;
  };
  return JSON.stringify(value, replacer);
}

/** Fails unless both are the same, types of numbers included. */
export function equal(actual, expected, message = "") {
  if (shown(actual) !== shown(expected)) {
    throw new Error(`${message}\n    found    ${shown(actual)}\n    expected ${shown(expected)}`);
  }
}

/** Fails unless `work` is refused with these fields; gives the error. */
export async function refused(work, fields) {
  let error;
  try {
    await (typeof work === "function" ? work() : work);
  } catch (caught) {
    error = caught;
  }
  ok(error instanceof Error, `it was not refused (expected ${shown(fields)})`);
  const found = Object.fromEntries(Object.keys(fields).map((name) => [name, error[name]]));
  equal(found, fields, error.message);
  return error;
}

/** Numbers from a seed (a Lehmer generator): the same in every run. */
export function seeded(seed) {
  let state = seed;
  const next = () => (state = (state * 48271) % 2147483647);
  const below = (end) => next() % end;
  return { below, pick: (list) => list[below(list.length)], chance: (percent) => below(100) < percent };
}
