/**
 * Writes the entry for development into the given folder of the package: with the modules' bytes in it. A development server
 * (Vite 6 and 7) moves the package's code into a cache of its own and leaves the modules behind.
 */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const folder = process.argv[2];
const files = ["unisono_bg.wasm", "recovery_bg.wasm"];
const modules = {};
for (const file of files) modules[file] = await readFile(join(folder, "wasm", file), "base64");
const entry = `import { bytesFrom } from "./module.js";
const modules = ${JSON.stringify(modules)};
bytesFrom(async (file) => Uint8Array.from(atob(modules[file]), (character) => character.charCodeAt(0)));
export * from "./index.js";
`;
await writeFile(join(folder, "development.js"), entry);
