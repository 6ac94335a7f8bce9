/** Prints what a browser downloads of the package in the given folder, compressed with brotli; the last line is the sum. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";

/** Node's entry, and that of development servers. */
const NOT_DOWNLOADED = ["node.js", "development.js"];
/** What a page downloads only once it has a damaged replica; told, and not counted. */
const SELDOM = [join("wasm", "recovery.js"), join("wasm", "recovery_bg.wasm")];

const folder = process.argv[2];
const names = await readdir(folder, { recursive: true });
let total = 0;
for (const name of names.sort()) {
  if (!/\.(js|wasm)$/.test(name) || NOT_DOWNLOADED.includes(name)) continue;
  const content = await readFile(join(folder, name));
  const bytes = brotliCompressSync(content).length;
  const seldom = SELDOM.includes(name);
  if (!seldom) total += bytes;
  console.log(`  ${name}: ${content.length} bytes, ${bytes} with brotli${seldom ? " (for recovery; not counted)" : ""}`);
}
console.log(`The npm package, js + wasm: ${total} bytes with brotli (${(total / 1024).toFixed(1)} KiB)`);
