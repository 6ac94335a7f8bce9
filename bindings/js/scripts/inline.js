/**
 * Writes the entry for development into the given folder of the package: with the module's bytes in it. A development server
 * (Vite 6 and 7) moves the package's code into a cache of its own and leaves the module behind.
 */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const folder = process.argv[2];
const module = await readFile(join(folder, "wasm", "unisono_bg.wasm"), "base64");
const entry = `import { bytesFrom } from "./module.js";
bytesFrom(async () => Uint8Array.from(atob("${module}"), (character) => character.charCodeAt(0)));
export * from "./index.js";
`;
await writeFile(join(folder, "development.js"), entry);
