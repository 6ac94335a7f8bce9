/** What the tests talk to: a real server, a native device, and tokens. For Node. */

import { spawn, execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

/** The folder of the programs that cargo has built. */
const programs = process.env.UNISONO_PROGRAMS;
if (!programs) throw new Error("UNISONO_PROGRAMS names the folder of unisono-server and native-device");

/** Starts a server in a folder of its own, whose pages at `origins` may call it. */
export async function startServer(origins = []) {
  const folder = await mkdtemp(join(tmpdir(), "unisono-js-"));
  const place = ["--dev", "--data", folder];
  const cors = origins.flatMap((origin) => ["--cors-origin", origin]);
  const program = join(programs, "unisono-server");
  const args = ["serve", "--listen", "127.0.0.1:0", "--log", "error", ...place, ...cors];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const [line] = await Promise.race([once(lines, "line"), once(child, "exit").then(() => [""])]);
  const url = line.replace("listening on ", "");
  if (!url.startsWith("http")) throw new Error(`the server did not start: ${line}`);
  const devices = [];
  return {
    url,
    /** A token of `user`, a member of `workspaces`. */
    async token(user, ...workspaces) {
      const member = workspaces.flatMap((workspace) => ["--workspace", workspace]);
      const { stdout } = await promisify(execFile)(program, ["token", "--user", user, ...member, ...place]);
      return stdout.trim();
    },
    /** Opens a native device of `user`, with indexes; gives a function that takes a step, as text, and gives its answer. */
    async nativeDevice(user, indexes = []) {
      const args = [join(folder, `native-${devices.length}.db`), url, user, await this.token(user), ...indexes];
      const device = spawn(join(programs, "native-device"), args, { stdio: ["pipe", "pipe", "inherit"] });
      devices.push(device);
      const answers = createInterface({ input: device.stdout })[Symbol.asyncIterator]();
      return async (step) => {
        device.stdin.write(`${step}\n`);
        const { value, done } = await answers.next();
        if (done) throw new Error("the native device has ended");
        return value;
      };
    },
    async stop() {
      for (const device of devices) {
        const ended = device.exitCode === null ? once(device, "exit") : undefined;
        device.stdin.end();
        await ended;
      }
      const ended = child.exitCode === null ? once(child, "exit") : undefined;
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
