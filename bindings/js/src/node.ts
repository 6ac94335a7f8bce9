/** The package in Node, whose `fetch` does not read files: the module's bytes come from the file system. */

import { bytesFrom } from "./module.js";

bytesFrom(async () => {
  // Not named in full, so that the declarations need none of Node's.
  const files = "node:fs/promises";
  const { readFile } = (await import(files)) as { readFile(url: URL): Promise<Uint8Array<ArrayBuffer>> };
  return readFile(new URL("./wasm/unisono_bg.wasm", import.meta.url));
});

export * from "./index.js";
