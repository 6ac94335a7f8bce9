/** The WebAssembly module: loaded once, guarded for ever. */

import { type UnisonoError, internalError, notFetched, notLoaded } from "./error.js";
import { json } from "./json.js";
import init, * as raw from "./wasm/unisono.js";

/** Where the module's code comes from, as `WebAssembly` takes it. */
export type ModuleSource = URL | Request | Response | BufferSource | WebAssembly.Module;

let loading: Promise<void> | undefined;
let loaded = false;
let source: ((file: string) => Promise<ModuleSource>) | undefined;
/** Why nothing runs any more, once the module has panicked or trapped. */
let dead: UnisonoError | undefined;
/** How to refuse the calls under way, should the module die: their promises would never settle. */
const underWay = new Set<(error: UnisonoError) => void>();

/** Loads the module; needs to be called only to load it early, or from elsewhere. */
export function load(from?: ModuleSource | Promise<ModuleSource>): Promise<void> {
  loading ??= (async () => {
    const given = from ?? (await bytesOf("unisono_bg.wasm"));
    await init(given === undefined ? undefined : { module_or_path: given });
    raw.onPanic(die);
    loaded = true;
  })().catch((error: unknown) => {
    // A failed download may be tried again.
    loading = undefined;
    throw notFetched(error);
  });
  return loading;
}

/** The module has failed: refuses the calls under way, and all to come. */
function die(words: string): void {
  dead ??= internalError(words);
  for (const refuse of underWay) refuse(dead);
  underWay.clear();
}

/** Says where a module's file is found by default. */
export function bytesFrom(bytes: (file: string) => Promise<ModuleSource>): void {
  source = bytes;
}

/** A module's file, where it is not beside the code that calls it. */
export async function bytesOf(file: string): Promise<ModuleSource | undefined> {
  return source?.(file);
}

/** Calls into the module. */
export function call<T>(work: (module: typeof raw) => T): T {
  if (dead) throw dead;
  if (!loaded) throw notLoaded();
  try {
    return work(raw);
  } catch (error) {
    // A trap: whatever the module was doing is left half-done.
    if (error instanceof WebAssembly.RuntimeError) die(error.message);
    throw dead ?? error;
  }
}

/** Calls into the module and waits; refused if the module dies meanwhile. */
export function callAsync<T>(work: (module: typeof raw) => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const promise = call(work);
    underWay.add(reject);
    promise.then(resolve, reject).finally(() => underWay.delete(reject));
  });
}

/** The canonical JSON text of a value: equal values have equal texts, in every language. */
export function canonicalJson(value: raw.Value): string {
  return call((module) => module.canonicalJson(json(value)));
}

/** Reads a JSON text exactly: integers beyond 2^53 become `bigint`s. */
export function parseJson(text: string): raw.Value {
  return call((module) => module.parseJson(text));
}
