/** Collections, and edits of single fields. */

import { json } from "./json.js";
import { call, callAsync } from "./module.js";
import { iterate } from "./stream.js";
import type * as raw from "./wasm/unisono.js";
import type { QueryOptions, RecordState, TextEdit, Value } from "./wasm/unisono.js";

/** A record as a read shows it: from `record`, a query or a watch. */
export type Row<T> = Omit<raw.Record, "doc"> & { doc: T };

/** A read of a record; a `Row` is one. */
export type Seen = Pick<raw.Record, "id" | "basis">;

/** How a write is made. */
export interface WriteOptions {
  /**
   * The read that the writer has seen. The write is concurrent with whatever came after it, though a pull may have brought that
   * meanwhile; without it, with what the replica does not hold.
   */
  seen?: Seen | undefined;
}

/** A query's answer. `next` goes into the options' `after` to read on; absent if this was all. */
export type Rows<T> = Row<T>[] & { next?: string };

/** A merge patch (RFC 7396): null removes a field. */
export type Patch<T> = { [K in keyof T]?: PatchValue<Exclude<T[K], undefined>> | null };
type PatchValue<V> = V extends readonly unknown[] ? V : V extends object ? Patch<V> : V;

/** A collection of records in one scope. Writes are durable when their promises resolve, with the event's id. */
export class Collection<T extends object = { [field: string]: Value }> {
  readonly #raw: raw.Collection;

  /** @internal */
  constructor(collection: raw.Collection) {
    this.#raw = collection;
  }

  /** Makes a record. */
  create(id: string, doc: T): Promise<string> {
    return callAsync(() => this.#raw.create(id, json(doc)));
  }

  /**
   * Makes a record, or changes the one that is there to exactly this: only what differs is written. `null` if nothing does.
   */
  put(id: string, doc: T, options: WriteOptions = {}): Promise<string | null> {
    return callAsync(() => this.#raw.put(id, text(options.seen), json(doc)));
  }

  /**
   * The same for many records, documents by id, with few commits: the event's id or `null`, by id. Each is a write of its own,
   * and all are checked before the first is written. If it fails half-way, to call it again does the rest.
   */
  putMany(docs: { [id: string]: T }): Promise<{ [id: string]: string | null }> {
    return callAsync(() => this.#raw.putMany(json(docs)));
  }

  /** Applies a merge patch. What is there already is no edit: `null` if nothing changes. */
  update(id: string, patch: Patch<T>, options: WriteOptions = {}): Promise<string | null> {
    return callAsync(() => this.#raw.update(id, text(options.seen), json(patch)));
  }

  /**
   * Writes what differs between a read of a record and `doc`, in sight of that read: what somebody else has changed beside it
   * stays. `null` if nothing differs.
   */
  save(old: Row<T>, doc: T): Promise<string | null> {
    return callAsync(() => this.#raw.save(text(old), json(old.doc), json(doc)));
  }

  /** Begins an edit of single fields (counters, sets, texts) of a record by its id, or in sight of a read of it. */
  edit(record: string | Seen): Edit {
    const seen = typeof record === "string" ? undefined : record;
    return new Edit((ops) => callAsync(() => this.#raw.edit(seen ? seen.id : record, text(seen), ops())));
  }

  /** Deletes a record. */
  delete(id: string, options: WriteOptions = {}): Promise<string> {
    return callAsync(() => this.#raw.delete(id, text(options.seen)));
  }

  /** The same collection, whose writes apply only if nothing that they touch was changed meanwhile by another device. */
  strict(): Collection<T> {
    return new Collection<T>(call(() => this.#raw.strict()));
  }

  /** The record's document as the app sees it, its own unsettled writes included; `null` if there is none. */
  get(id: string): Promise<T | null> {
    return callAsync(() => this.#raw.get(id)) as Promise<T | null>;
  }

  /** The record with its revision and state, for writes that name what their writer has seen; `null` if there is none. */
  record(id: string): Promise<Row<T> | null> {
    return callAsync(() => this.#raw.record(id)) as Promise<Row<T> | null>;
  }

  /** The state of a record's sync; `null` if there is neither a record nor an event on it. */
  state(id: string): Promise<RecordState | null> {
    return callAsync(() => this.#raw.state(id));
  }

  /** Reads records. */
  async query(options: QueryOptions = {}): Promise<Rows<T>> {
    const page = await callAsync(() => this.#raw.query(json(options)));
    return Object.assign(page.records as Row<T>[], page.next === undefined ? {} : { next: page.next });
  }

  /** Follows a query's answer: first as it is, then whenever it changes. */
  watch(options: QueryOptions = {}): AsyncIterableIterator<Row<T>[]> {
    return iterate(
      () => call(() => this.#raw.watch(json(options))),
      (update: raw.WatchUpdate) => update.records as Row<T>[],
    );
  }
}

/** A read as the module takes it. */
function text(seen: Seen): string;
function text(seen: Seen | undefined): string | undefined;
function text(seen: Seen | undefined): string | undefined {
  return seen && json({ id: seen.id, basis: seen.basis });
}

/** Field operations on one record, committed together as one event. Paths are JSON Pointers. */
export class Edit {
  readonly #commit: (ops: () => string) => Promise<string | null>;
  readonly #ops: (() => string)[] = [];

  /** @internal */
  constructor(commit: (ops: () => string) => Promise<string | null>) {
    this.#commit = commit;
  }

  /** `name` is what the operation calls its value. */
  #with(op: string, path: string, name?: string, value?: unknown): this {
    this.#ops.push(() => {
      const argument = name === undefined ? "" : `,"${name}":${json(value, String(path))}`;
      return `{"op":"${op}","path":${json(path)}${argument}}`;
    });
    return this;
  }

  /** Assigns a field; an object replaces all below it. */
  set(path: string, value: Value): this {
    return this.#with("set", path, "value", value);
  }

  /** Removes a field. */
  unset(path: string): this {
    return this.#with("unset", path);
  }

  /** Adds to a 64-bit integer; increments of several devices all count. */
  increment(path: string, by: number | bigint): this {
    return this.#with("inc", path, "by", by);
  }

  /** Adds elements to an array used as a set. */
  add(path: string, values: Value[]): this {
    return this.#with("add", path, "values", values);
  }

  /** Removes elements from an array used as a set. */
  remove(path: string, values: Value[]): this {
    return this.#with("remove", path, "values", values);
  }

  /** Edits a text: `[5, "new words", {d: 3}]` skips, inserts, deletes; positions count Unicode code points. */
  text(path: string, edit: TextEdit): this {
    return this.#with("text", path, "edit", edit);
  }

  /** Writes the edit. What is there already is no edit: `null` if nothing changes. */
  commit(): Promise<string | null> {
    return this.#commit(() => `[${this.#ops.map((op) => op()).join()}]`);
  }
}
