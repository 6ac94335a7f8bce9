/** Plays the scenarios of `tests/scenarios`, whose form its README tells, in IndexedDB. */

import { equal, refused, test } from "../harness.js";

/** The parts of `found` that `expected` names. */
function named(found, expected) {
  return Object.fromEntries(Object.keys(expected).map((name) => [name, found[name]]));
}

const ids = (rows) => rows.map((row) => row.id);

function steps({ unisono, account, open }) {
  const by = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const noteKey = ({ doc }) => [doc.collection, doc.record, doc.path ?? null];
  const canonical = (value) => unisono.canonicalJson(value);
  const in_ = (device, step) => device.client.collection(step.collection ?? "samples");
  return {
    create: (device, step) => in_(device, step).create(step.id, step.doc),
    update: (device, step) => in_(device, step).update(step.id, step.patch),
    delete: (device, step) => in_(device, step).delete(step.id),
    edit(device, step) {
      const edit = in_(device, step).edit(step.id);
      const apply = {
        set: (op) => edit.set(op.path, op.value),
        unset: (op) => edit.unset(op.path),
        inc: (op) => edit.increment(op.path, op.by),
        add: (op) => edit.add(op.path, op.values),
        remove: (op) => edit.remove(op.path, op.values),
        text: (op) => edit.text(op.path, op.edit),
      };
      for (const op of step.ops) apply[op.op](op);
      return edit.commit();
    },
    async get(device, step) {
      const doc = await in_(device, step).get(step.id);
      if ("expect" in step) equal(canonical(doc), canonical(step.expect));
    },
    async query(device, step) {
      const rows = await in_(device, step).query(step.options);
      if ("expect" in step) equal(ids(rows), step.expect);
    },
    watch(device, step) {
      device.watches[step.name] = in_(device, step).watch(step.options);
    },
    async next(device, step) {
      equal(ids((await device.watches[step.name].next()).value), step.expect);
    },
    async sync(device, step) {
      const report = await device.client.syncNow();
      equal(named(report, step.expect ?? {}), step.expect ?? {});
    },
    status(device, step) {
      const { state, ...rest } = device.client.status();
      equal(named({ ...rest, state: state.name }, step.expect), step.expect);
    },
    async conflicts(device, step) {
      const keys = (await device.client.conflicts()).map(noteKey);
      const text = (key) => canonical(key);
      const expected = step.expect.map((note) => [note.collection, note.record, note.path]);
      equal(keys.sort((a, b) => by(text(a), text(b))), expected);
    },
    async resolve(device, step) {
      const notes = (await device.client.conflicts()).filter(({ doc }) => doc.record === step.record && (doc.path ?? null) === step.path);
      equal(notes.length, 1);
      await device.client.resolve(notes[0].id);
    },
    close: (device) => device.client.close(),
    async reopen(device) {
      device.client = await open(device.name, account);
    },
    async state(device, step) {
      const rows = await in_(device, step).query();
      equal(canonical(Object.fromEntries(rows.map((row) => [row.id, row.doc]))), canonical(step.expect));
    },
  };
}

for (const file of ["two_devices"]) {
  test(`scenarios: ${file}`, async ({ unisono, replica, url, token, scenario: text }) => {
    await unisono.load();
    const scenario = unisono.parseJson(await text(file));
    const good = await token(scenario.account);
    const open = (name) => unisono.Client.open({ name, url, account: scenario.account, token: good });
    const devices = {};
    for (const name of scenario.devices) {
      const place = replica();
      devices[name] = { name: place, client: await open(place), watches: {} };
    }
    const take = steps({ unisono, account: scenario.account, open });
    for (const [number, step] of scenario.steps.entries()) {
      const device = devices[step.device];
      try {
        const run = async () => take[step.do](device, step);
        if ("error" in step) await refused(run, step.error);
        else await run();
      } catch (error) {
        error.message = `step ${number + 1}, ${unisono.canonicalJson(step)}\n    ${error.message}`;
        throw error;
      }
    }
    for (const device of Object.values(devices)) await device.client.close();
  });
}
