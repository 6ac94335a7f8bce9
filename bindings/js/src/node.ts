/** The package in Node, whose `fetch` does not read files: the modules' bytes come from the file system. */

import { bytesFrom } from "./module.js";

bytesFrom(async (file) => {
  // Not named in full, so that the declarations need none of Node's.
  const files = "node:fs/promises";
  const { readFile } = (await import(files)) as { readFile(url: URL): Promise<Uint8Array<ArrayBuffer>> };
  return readFile(new URL(`./wasm/${file}`, import.meta.url));
});

export * from "./index.js";
