/** Runs a test program of wasm-bindgen-test in a headless Chromium: `node run.mjs FOLDER`, with the folder of its generated files. */

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";

import { startBrowser } from "../../bindings/js/test/webdriver.js";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
/** A page that says nothing for so long has crashed. */
const SILENCE = 180_000;

const built = process.argv[2];
let end;
const ended = new Promise((resolve) => (end = resolve));
let watchdog;

function heard() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => end({ passed: false, rest: "the page fell silent" }), SILENCE);
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

const pages = createServer(async (request, response) => {
  heard();
  try {
    const { pathname } = new URL(request.url, "http://page");
    if (request.method === "POST") {
      if (pathname === "/tell") process.stdout.write(await body(request));
      else end(JSON.parse(await body(request)));
      response.end();
      return;
    }
    const file = pathname.match(/^\/built\/([\w.]+)$/)?.[1];
    const content = await readFile(file ? join(built, file) : new URL("page.html", import.meta.url));
    response.writeHead(200, { "content-type": TYPES[extname(pathname)] ?? "text/html" });
    response.end(content);
  } catch (error) {
    response.writeHead(error.code === "ENOENT" ? 404 : 500);
    response.end(String(error.stack));
  }
});
await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));

let outcome = { passed: false, rest: "the browser did not start" };
let browser;
try {
  heard();
  browser = await startBrowser();
  console.log(`Chromium ${browser.version}`);
  await browser.open(`http://127.0.0.1:${pages.address().port}/`);
  outcome = await ended;
} finally {
  clearTimeout(watchdog);
  await browser?.stop();
  pages.closeAllConnections();
  pages.close();
}
console.log(outcome.rest);
process.exitCode = outcome.passed ? 0 : 1;
