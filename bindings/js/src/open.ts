/** Opening replicas: one after the other where they have one name. */

import { invalid } from "./error.js";
import { json } from "./json.js";
import { callAsync } from "./module.js";
import type * as raw from "./wasm/unisono.js";
import type { OpenOptions } from "./wasm/unisono.js";

/** How long an opening waits for another client's close unless told: a reload or a remount is over by then. */
const WAIT_MS = 1000;

/** What is being opened in this page, by name. */
const underWay = new Map<unknown, Promise<unknown>>();

/** Opens the replica that the options describe, after those of its name that are being opened. */
export async function open(options: OpenOptions): Promise<raw.Client> {
  const { token, wait_ms = WAIT_MS, ...others } = read(options);
  const text = json(others);
  const before = underWay.get(others.name);
  const opening = (async () => {
    // Whether it could be opened is its caller's to know.
    await before?.catch(() => undefined);
    return callAsync((module) => module.Client.open(text, token, wait_ms));
  })();
  if (others.name !== ":memory:") underWay.set(others.name, opening);
  try {
    return await opening;
  } finally {
    if (underWay.get(others.name) === opening) underWay.delete(others.name);
  }
}

/** The options' own copy, so that all are read once. */
function read(options: OpenOptions): OpenOptions {
  try {
    return { ...options };
  } catch (error) {
    throw invalid("invalid_config", `the options cannot be read: ${error}`, error);
  }
}
