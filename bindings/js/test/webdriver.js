/** Just enough WebDriver to open a page in a headless Chromium with a fresh profile. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** Starts a browser. */
export async function startBrowser() {
  const driver = spawn(process.env.CHROMEDRIVER ?? "chromedriver", ["--port=0"], { stdio: ["ignore", "pipe", "inherit"] });
  let port;
  for await (const line of createInterface({ input: driver.stdout })) {
    port = line.match(/started successfully on port (\d+)/)?.[1];
    if (port) break;
  }
  if (!port) throw new Error("chromedriver did not start");
  driver.stdout.resume();
  const ask = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${value.error}: ${value.message}`);
    return value;
  };
  const options = { args: ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] };
  const capabilities = { alwaysMatch: { browserName: "chrome", "goog:chromeOptions": options } };
  const { sessionId, capabilities: found } = await ask("POST", "/session", { capabilities });
  const session = `/session/${sessionId}`;
  return {
    version: found.browserVersion,
    open: (url) => ask("POST", `${session}/url`, { url }),
    /** A command of the DevTools protocol. */
    devtools: (cmd, params) => ask("POST", `${session}/goog/cdp/execute`, { cmd, params }),
    async stop() {
      await ask("DELETE", session).catch(() => {});
      const ended = once(driver, "exit");
      driver.kill("SIGTERM");
      await ended;
    },
  };
}
