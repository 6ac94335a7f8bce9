/** A client in a worker. There are no import maps here. */

import * as unisono from "/dist/index.js";

addEventListener("message", async ({ data: options }) => {
  try {
    const client = await unisono.Client.open(options);
    await client.collection("samples").create("from-worker", { n: 9007199254740993n });
    const report = await client.syncNow();
    const docs = (await client.collection("samples").query()).map((row) => row.doc);
    await client.close();
    postMessage({ report, docs });
  } catch (error) {
    postMessage({ error: String(error), code: error.code });
  }
});
