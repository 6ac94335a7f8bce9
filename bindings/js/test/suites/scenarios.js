/** Plays the scenarios of `tests/scenarios`, whose form its README tells, in IndexedDB. */

import { equal, refused, test } from "../harness.js";

/** The parts of `found` that `expected` names. */
function named(found, expected) {
  return Object.fromEntries(Object.keys(expected).map((name) => [name, found[name]]));
}

/** Writes out what stands for a repeated text. */
function writtenOut(value) {
  if (Array.isArray(value)) return value.map(writtenOut);
  if (value === null || typeof value !== "object") return value;
  if ("$times" in value) return value.text.repeat(value.$times);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, writtenOut(member)]));
}

const ids = (rows) => rows.map((row) => row.id);

function steps({ unisono, open }) {
  const by = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const noteKey = (note) => [note.collection, note.record, note.path ?? null];
  const canonical = (value) => unisono.canonicalJson(value);
  const in_ = (device, step) => {
    const collection = device.client.collection(step.collection ?? "samples");
    return step.strict ? collection.strict() : collection;
  };
  const seen = (device, step) => ({ seen: device.reads[step.seen] });
  /** Whether a write changed anything is what was expected. */
  const changed = async (step, write) => {
    const event = await write;
    if ("expect" in step) equal(event !== null, step.expect);
  };
  /** The one open note on a step's record and path. */
  const openNote = async (device, step) => {
    const notes = (await device.client.conflicts()).filter((note) => note.record === step.record && (note.path ?? null) === step.path);
    equal(notes.length, 1);
    return notes[0];
  };
  /** The settings that a step is about: the preferences, or the app's group that it names, with its defaults. */
  const settings = ({ client }, { name, doc, level }) => {
    const document = name === undefined ? client.settings : client.settingsGroup(name, doc);
    return level === undefined ? document : document.at(level);
  };
  return {
    create: (device, step) => in_(device, step).create(step.id, step.doc),
    put: (device, step) => changed(step, in_(device, step).put(step.id, step.doc, seen(device, step))),
    async put_many(device, step) {
      const events = await in_(device, step).putMany(step.docs);
      equal(Object.fromEntries(Object.entries(events).map(([id, event]) => [id, event !== null])), step.expect);
    },
    update: (device, step) => changed(step, in_(device, step).update(step.id, step.patch, seen(device, step))),
    save: (device, step) => changed(step, in_(device, step).save(device.reads[step.seen], step.doc)),
    delete: (device, step) => in_(device, step).delete(step.id, seen(device, step)),
    async record(device, step) {
      const record = await in_(device, step).record(step.id);
      if (step.name) device.reads[step.name] = record;
      if ("expect" in step) equal(canonical(record && step.expect && named(record, step.expect)), canonical(step.expect));
    },
    edit(device, step) {
      const edit = in_(device, step).edit(device.reads[step.seen] ?? step.id);
      const apply = {
        set: (op) => edit.set(op.path, op.value),
        unset: (op) => edit.unset(op.path),
        inc: (op) => edit.increment(op.path, op.by),
        add: (op) => edit.add(op.path, op.values),
        remove: (op) => edit.remove(op.path, op.values),
        text: (op) => edit.text(op.path, op.edit),
      };
      for (const op of step.ops) apply[op.op](op);
      return changed(step, edit.commit());
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
      const { state, withheld = null, ...rest } = device.client.status();
      equal(named({ ...rest, withheld, state: state.name }, step.expect), step.expect);
    },
    choose: (device, step) => changed(step, settings(device, step).update(step.patch)),
    async reset(device, step) {
      equal(await settings(device, step).reset(step.path), step.expect);
    },
    async setting(device, step) {
      const document = settings(device, step);
      const names = step.path.split("/").slice(1);
      const value = names.reduce((within, name) => within[name], await document.get());
      equal(canonical({ value, level: await document.level(step.path) }), canonical(step.expect));
    },
    async conflicts(device, step) {
      const keys = (await device.client.conflicts()).map(noteKey);
      const text = (key) => canonical(key);
      const expected = step.expect.map((note) => [note.collection, note.record, note.path]);
      equal(keys.sort((a, b) => by(text(a), text(b))), expected);
    },
    async conflict_value(device, step) {
      const note = await openNote(device, step);
      const value = await device.client.conflictValue(note, note.doc.losers[0].value_ref.sha256);
      equal(canonical(value), canonical(step.expect));
    },
    async resolve(device, step) {
      await device.client.resolve(await openNote(device, step));
    },
    close: (device) => device.client.close(),
    async reopen(device) {
      device.client = await open(device.name);
    },
    async state(device, step) {
      const rows = await in_(device, step).query();
      equal(canonical(Object.fromEntries(rows.map((row) => [row.id, row.doc]))), canonical(step.expect));
    },
  };
}

for (const file of await (await fetch("/scenarios/")).json()) {
  test(`scenarios: ${file.replace(".json", "")}`, async ({ unisono, replica, url, token, scenario: text }) => {
    await unisono.load();
    const scenario = writtenOut(unisono.parseJson(await text(file)));
    // The server is every suite's: an account of its own for each scenario.
    const account = `${scenario.account} of ${file}`;
    const good = await token(account);
    const open = (name) => unisono.Client.open({ name, url, account, token: good });
    const devices = {};
    for (const name of scenario.devices) {
      const place = replica();
      devices[name] = { name: place, client: await open(place), watches: {}, reads: {} };
    }
    const take = steps({ unisono, open });
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
