/** What to do when opening fails with `storage_corrupt`. A module of its own, which only a page with a damaged replica loads. */

import { internalError, notFetched } from "./error.js";
import { type ModuleSource, bytesOf } from "./module.js";
import type { RecoveryReport } from "./wasm/recovery.js";

/**
 * Makes a new replica of what can be read of the damaged one of this name, and puts it in its place. Every unsent event that can
 * be read is in the new queue; those that are known to be lost are in `lost_events`. What could be read stays in a replica of
 * its own, `kept_aside`. Open the new one afterwards as usual; the next sync fetches the records anew. Nobody may have
 * it open. `from` is where the module for it comes from, if it is not beside the code.
 */
export async function recover(name: string, from?: ModuleSource | Promise<ModuleSource>): Promise<RecoveryReport> {
  const module = await import("./wasm/recovery.js").catch((error: unknown) => {
    throw notFetched(error);
  });
  const given = from ?? (await bytesOf("recovery_bg.wasm"));
  await module.default(given === undefined ? undefined : { module_or_path: given }).catch((error: unknown) => {
    throw notFetched(error);
  });
  return new Promise((resolve, reject) => {
    module.onPanic((words: string) => reject(internalError(words)));
    module.recover(name).then(resolve, reject);
  });
}
