/** The client. */

import { ApiKeys, type StorageUse, storageUse } from "./api-keys.js";
import { Collection } from "./collection.js";
import { Connectivity } from "./connectivity.js";
import { json } from "./json.js";
import { call, callAsync, load } from "./module.js";
import { open } from "./open.js";
import { Settings } from "./settings.js";
import { iterate } from "./stream.js";
import type * as raw from "./wasm/unisono.js";
import type { ClientEvent, Conflict, Finding, OpenOptions, QueuedEvent, Status, SyncReport } from "./wasm/unisono.js";

/** A replica with its queue and engine. */
export class Client {
  readonly #raw: raw.Client;
  readonly #connectivity: Connectivity;

  private constructor(opened: raw.Client) {
    this.#raw = opened;
    this.#connectivity = new Connectivity(opened);
  }

  /**
   * Opens a replica, loading the module if need be. Nothing runs in the background before `start`. One client has a replica:
   * while another one opens, has or closes it, this waits as `wait_ms` says.
   */
  static async open(options: OpenOptions): Promise<Client> {
    await load();
    return new Client(await open(options));
  }

  /** A collection of the account's own scope. */
  collection<T extends object = { [field: string]: raw.Value }>(name: string): Collection<T> {
    return new Collection<T>(call(() => this.#raw.collection(name)));
  }

  /** The scope shared by the members of a workspace. */
  workspace(id: string): Workspace {
    return new Workspace(this.#raw, id);
  }

  /** What the user prefers: `analysis`, `ui`, `notifications`, `cloud_sync`. */
  get settings(): Settings {
    return new Settings(call(() => this.#raw.settings("preferences")));
  }

  /** Who the user is: `username`, `email`, `avatar_url`, `bio`. */
  get profile(): Settings {
    return new Settings(call(() => this.#raw.settings("profile")));
  }

  /** Settings of the app's own, by the group's name, with the app's defaults. */
  settingsGroup<T extends object>(name: string, defaults: T): Settings<T> {
    return new Settings<T>(call(() => this.#raw.settings(name, json(defaults))));
  }

  /** The account's API keys. */
  get apiKeys(): ApiKeys {
    return new ApiKeys(this.#raw);
  }

  /**
   * How much room the account's own records take and may take: as the server counts, or as this replica does while no server can
   * be reached.
   */
  storage(): Promise<StorageUse> {
    return storageUse(this.#raw);
  }

  /** Tells whether the network costs by the byte: then nothing but settings is synced where the user wants Wi-Fi only. */
  setMetered(metered: boolean): void {
    call(() => this.#raw.setNetwork(metered));
  }

  /**
   * Starts background sync. From now on the client hears when the browser loses and finds the network, and when the page
   * is looked at again.
   */
  async start(): Promise<void> {
    await callAsync(() => this.#raw.start());
    this.#connectivity.follow();
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

  /** Open conflict notes of every scope. */
  conflicts(): Promise<Conflict[]> {
    return callAsync(() => this.#raw.conflicts());
  }

  /** Marks a conflict note as resolved, on every device; `null` if it is. An id alone is looked for in every scope. */
  resolve(note: Pick<Conflict, "id" | "scope"> | string): Promise<string | null> {
    const { id, scope } = typeof note === "string" ? { id: note, scope: undefined } : note;
    return callAsync(() => this.#raw.resolve(id, scope));
  }

  /**
   * The value behind a reference of a conflict note (`value_ref.sha256` of a side, or `base_ref.sha256`): read here where it is
   * kept, else fetched once.
   */
  conflictValue(note: Pick<Conflict, "id"> | string, sha256: string): Promise<raw.Value> {
    return callAsync(() => this.#raw.conflictValue(typeof note === "string" ? note : note.id, sha256));
  }

  /** Puts a parked event, with its group, back into the queue. */
  retry(id: string): Promise<void> {
    return callAsync(() => this.#raw.retry(id));
  }

  /** Drops a parked event, with its group. */
  discard(id: string): Promise<void> {
    return callAsync(() => this.#raw.discard(id));
  }

  /**
   * Replaces a parked event's content and puts it back into the queue, under the id that is returned: a create gets `content` as
   * its document, an update as its RFC 7396 merge patch.
   */
  replace(id: string, content: object): Promise<string> {
    return callAsync(() => this.#raw.replace(id, json(content)));
  }

  /** Examines the replica and the engine and says what is wrong and what to do, the worst first. */
  doctor(): Promise<Finding[]> {
    return callAsync(() => this.#raw.doctor());
  }

  /** Holds background sync until `resume`. Not persisted. */
  pause(): void {
    call(() => this.#raw.pause());
  }

  /** Takes up background sync. */
  resume(): Promise<void> {
    return callAsync(() => this.#raw.resume());
  }

  /** Switches sync on, durably. */
  enable(): Promise<void> {
    return callAsync(() => this.#raw.setEnabled(true));
  }

  /** Switches sync off on this device, durably. The app goes on working on its replica. */
  disable(): Promise<void> {
    return callAsync(() => this.#raw.setEnabled(false));
  }

  /** Gives an anonymous replica, with all that was written in it, to an account. Possible once. */
  claim(account: string): Promise<void> {
    return callAsync(() => this.#raw.claim(account));
  }

  /** Tells whether there is a network; `true` syncs at once. After `false` the browser's word does not count, until `true`. */
  setOnline(online: boolean): void {
    this.#connectivity.set(online);
  }

  /** Replaces the token, after the user has signed in again. */
  setToken(token: string): void {
    call(() => this.#raw.setToken(token));
  }

  /**
   * Ends sync and closes the replica. What was written is durable already; a write that was not awaited may fail with
   * `closed`. Later calls fail with `closed`; closing again does nothing.
   */
  close(): Promise<void> {
    this.#connectivity.leave();
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

  /** The user's preferences as a member has them: what the workspace gives stands between the user's choices and the defaults. */
  async settings(): Promise<Settings> {
    return new Settings(await callAsync(() => this.#raw.workspaceSettings(this.#id, "preferences")));
  }

  /** The user's profile, in the same way. */
  async profile(): Promise<Settings> {
    return new Settings(await callAsync(() => this.#raw.workspaceSettings(this.#id, "profile")));
  }

  /** Settings of the app's own, in the same way. */
  async settingsGroup<T extends object>(name: string, defaults: T): Promise<Settings<T>> {
    const text = json(defaults);
    return new Settings<T>(await callAsync(() => this.#raw.workspaceSettings(this.#id, name, text)));
  }

  /** A collection of the workspace. */
  collection<T extends object = { [field: string]: raw.Value }>(name: string): Collection<T> {
    return new Collection<T>(call(() => this.#raw.workspaceCollection(this.#id, name)));
  }
}
