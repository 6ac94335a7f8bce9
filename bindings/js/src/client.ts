/** The client. */

import { Collection } from "./collection.js";
import { call, callAsync, load } from "./module.js";
import { iterate } from "./stream.js";
import type * as raw from "./wasm/unisono.js";
import type { ClientEvent, OpenOptions, QueuedEvent, Status, SyncReport } from "./wasm/unisono.js";
import type { Row } from "./collection.js";

/** A replica with its queue and engine. */
export class Client {
  readonly #raw: raw.Client;

  private constructor(opened: raw.Client) {
    this.#raw = opened;
  }

  /** Opens a replica, loading the module if need be. Nothing runs in the background before `start`. */
  static async open(options: OpenOptions): Promise<Client> {
    await load();
    return new Client(await callAsync((module) => module.Client.open(options)));
  }

  /** A collection of the account's own scope. */
  collection<T extends object = { [field: string]: raw.Value }>(name: string): Collection<T> {
    return new Collection<T>(call(() => this.#raw.collection(name)));
  }

  /** The scope shared by the members of a workspace. */
  workspace(id: string): Workspace {
    return new Workspace(this.#raw, id);
  }

  /** Starts background sync. */
  start(): Promise<void> {
    return callAsync(() => this.#raw.start());
  }

  /** Syncs every scope now and waits until that is done, for at most `deadlineMs`. */
  syncNow(options: { deadlineMs?: number } = {}): Promise<SyncReport> {
    return callAsync(() => this.#raw.syncNow(options.deadlineMs));
  }

  /** The client's state; touches neither disk nor network. */
  status(): Status {
    return call(() => this.#raw.status());
  }

  /** What happens in the client from the first step on. */
  events(): AsyncIterableIterator<ClientEvent> {
    return iterate(() => call(() => this.#raw.events()), (event: ClientEvent) => event);
  }

  /** Unsettled events, in queue order. */
  pending(): Promise<QueuedEvent[]> {
    return callAsync(() => this.#raw.pending());
  }

  /** Events that were refused and wait for the app. */
  parked(): Promise<QueuedEvent[]> {
    return callAsync(() => this.#raw.parked());
  }

  /** Open conflict notes, as the server keeps them. */
  conflicts(): Promise<Row<{ [field: string]: raw.Value }>[]> {
    return callAsync(() => this.#raw.conflicts()) as Promise<Row<{ [field: string]: raw.Value }>[]>;
  }

  /** Marks a conflict note as resolved, on every device. */
  resolve(note: string): Promise<string> {
    return callAsync(() => this.#raw.resolve(note));
  }

  /** Puts a parked event, with its group, back into the queue. */
  retry(id: string): Promise<void> {
    return callAsync(() => this.#raw.retry(id));
  }

  /** Drops a parked event, with its group. */
  discard(id: string): Promise<void> {
    return callAsync(() => this.#raw.discard(id));
  }

  /** Tells whether there is a network; `true` syncs at once. */
  setOnline(online: boolean): void {
    call(() => this.#raw.setOnline(online));
  }

  /** Replaces the token, after the user has signed in again. */
  setToken(token: string): void {
    call(() => this.#raw.setToken(token));
  }

  /** Ends sync, flushes and closes the replica. Later calls fail with `closed`; closing again does nothing. */
  close(): Promise<void> {
    return callAsync(() => this.#raw.close());
  }

  /** `await using client = …` closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A workspace's collections. */
export class Workspace {
  readonly #raw: raw.Client;
  readonly #id: string;

  /** @internal */
  constructor(client: raw.Client, id: string) {
    this.#raw = client;
    this.#id = id;
  }

  /** Makes the workspace one of those that are synced; a write to it does the same. */
  subscribe(): Promise<void> {
    return callAsync(() => this.#raw.subscribeWorkspace(this.#id));
  }

  /** A collection of the workspace. */
  collection<T extends object = { [field: string]: raw.Value }>(name: string): Collection<T> {
    return new Collection<T>(call(() => this.#raw.workspaceCollection(this.#id, name)));
  }
}
