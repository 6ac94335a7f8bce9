/** Runs the suites in a headless Chromium: serves the page, and does for it what a page cannot do. */

import { createServer } from "node:http";
import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { pathToFileURL } from "node:url";

import { runAll } from "./harness.js";
import { startServer } from "./server.js";
import "./suites/bundler.js";
import { startBrowser } from "./webdriver.js";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};
const HERE = new URL("../", import.meta.url);
const SCENARIOS = new URL("../../tests/scenarios/", HERE);
/** A page that says nothing for so long has crashed. */
const SILENCE = 180_000;

let server;
let browser;
const devices = [];
let end;
let watchdog;
let clean = true;

function heard() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    console.log("the page fell silent");
    end(false);
  }, SILENCE);
}

const actions = {
  "/server": () => server.url,
  "/token": (body) => server.token(...JSON.parse(body)),
  async "/native"(body) {
    const { user, indexes } = JSON.parse(body);
    return String(devices.push(await server.nativeDevice(user, indexes)) - 1);
  },
  async "/devtools"(body) {
    const { cmd, params } = JSON.parse(body);
    return JSON.stringify(await browser.devtools(cmd, params));
  },
  "/tell"(line) {
    console.log(line);
    if (line.startsWith("unhandled") || line.startsWith("uncaught")) clean = false;
    return "";
  },
  "/end"(passed) {
    end(passed === "true");
    return "";
  },
};

const pages = createServer(async (request, response) => {
  heard();
  try {
    const { pathname } = new URL(request.url, "http://page");
    if (request.method === "POST") {
      const parts = [];
      for await (const part of request) parts.push(part);
      const body = Buffer.concat(parts).toString();
      const device = pathname.match(/^\/native\/(\d+)$/);
      response.end(device ? await devices[device[1]](body) : await actions[pathname](body));
      return;
    }
    if (pathname === "/scenarios/") {
      const names = (await readdir(SCENARIOS)).filter((name) => extname(name) === ".json");
      response.writeHead(200, { "content-type": TYPES[".json"] });
      response.end(JSON.stringify(names.sort()));
      return;
    }
    const scenario = pathname.match(/^\/scenarios\/(.*)$/);
    const file = scenario ? new URL(scenario[1], SCENARIOS) : new URL(`.${pathname}`, HERE);
    const content = await readFile(file);
    response.writeHead(200, { "content-type": TYPES[extname(pathname)] ?? "application/octet-stream" });
    response.end(content);
  } catch (error) {
    response.writeHead(error.code === "ENOENT" ? 404 : 500);
    response.end(String(error.stack));
  }
});

await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
const { port } = pages.address();
const origin = `http://127.0.0.1:${port}`;
const otherOrigin = `http://localhost:${port}`;

/** Opens the page at `origin` with these suites and waits for their end. */
async function run(origin, suites) {
  const ended = new Promise((resolve) => (end = resolve));
  heard();
  await browser.open(`${origin}/test/page.html?${suites.map((suite) => `suite=${suite}`).join("&")}`);
  return ended;
}

let passed = false;
try {
  server = await startServer([origin]);
  browser = await startBrowser();
  console.log(`Chromium ${browser.version}`);
  const main = await run(origin, ["client", "values", "settings", "api-keys", "browser", "convergence", "queries", "scenarios"]);
  await browser.devtools("Storage.overrideQuotaForOrigin", { origin: otherOrigin, quotaSize: 2_000_000 });
  const quota = await run(otherOrigin, ["quota"]);
  clearTimeout(watchdog);
  const vite = await import(pathToFileURL(join(process.env.UNISONO_NPM, "vite", "dist", "node", "index.js")));
  const bundled = await runAll({ browser, vite }, (line) => console.log(line));
  passed = main && quota && bundled && clean;
} finally {
  clearTimeout(watchdog);
  await browser?.stop();
  await server?.stop();
  pages.closeAllConnections();
  pages.close();
}
process.exitCode = passed ? 0 : 1;
