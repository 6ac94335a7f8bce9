/** The package in an app's bundler, with no setting for it. Runs in Node: the stage has a browser, and the folder of npm's tools. */

import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { equal, test } from "../harness.js";

const PACKAGE = new URL("../../", import.meta.url);
const PAGE = '<!doctype html><title>app</title><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>';
const APP = `
import { Client, recover } from "unisono";
globalThis.answer = (async () => {
  const client = await Client.open({ name: "bundled" });
  const samples = client.collection("samples");
  await samples.create(crypto.randomUUID(), { n: 9007199254740993n });
  const [row] = await samples.query();
  await client.close();
  // A module of its own.
  const none = await recover("none").catch((error) => error.code);
  return row.doc.n + " " + none;
})();
`;

/** Makes an app that has the package installed, as npm does it: a folder of its own in node_modules, no link. */
async function app(run) {
  const root = await mkdtemp(join(tmpdir(), "unisono-app-"));
  try {
    const installed = join(root, "node_modules", "unisono");
    await mkdir(installed, { recursive: true });
    for (const part of ["package.json", "dist"]) await cp(new URL(part, PACKAGE), join(installed, part), { recursive: true });
    await writeFile(join(root, "index.html"), PAGE);
    await writeFile(join(root, "main.js"), APP);
    await run(root);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** What the app's page at `url` answers. */
async function answer(browser, url) {
  await browser.open(url);
  const expression = { expression: "globalThis.answer", awaitPromise: true, returnByValue: true };
  const { result, exceptionDetails } = await browser.devtools("Runtime.evaluate", expression);
  return exceptionDetails?.exception.description ?? result.value;
}

const settings = (root) => ({ root, configFile: false, logLevel: "error" });
const listen = { host: "127.0.0.1", port: 0 };

test("bundler: Vite's development server serves the package", async ({ browser, vite }) => {
  await app(async (root) => {
    const server = await vite.createServer({ ...settings(root), server: listen });
    try {
      await server.listen();
      equal(await answer(browser, server.resolvedUrls.local[0]), "9007199254740993 storage_unavailable");
    } finally {
      await server.close();
    }
  });
});

test("bundler: Vite builds an app with the package", async ({ browser, vite }) => {
  await app(async (root) => {
    await vite.build(settings(root));
    const server = await vite.preview({ ...settings(root), preview: listen });
    try {
      equal(await answer(browser, server.resolvedUrls.local[0]), "9007199254740993 storage_unavailable");
    } finally {
      await server.close();
    }
  });
});
