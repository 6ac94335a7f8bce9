/** What the server alone has of an account: its API keys, and what room its records take. */

import { isUnisonoError } from "./error.js";
import { json } from "./json.js";
import { callAsync } from "./module.js";
import type * as raw from "./wasm/unisono.js";
import type { ApiKey, NewApiKey, StorageStats } from "./wasm/unisono.js";

/** A text that no log shows: as text, as JSON and in a console it is not to be seen. */
export class Secret {
  /** The text itself. */
  readonly reveal: () => string;

  /** @internal */
  constructor(text: string) {
    // A console shows private members, too; not what a function has kept.
    this.reveal = () => text;
  }

  toString(): string {
    return "[redacted]";
  }

  toJSON(): string {
    return "[redacted]";
  }
}

/** A key and its secret, which no later call tells again. */
export interface IssuedApiKey {
  key: ApiKey;
  /** The whole key as a program sends it. */
  secret: Secret;
}

/** How much room an account's records take. */
export interface StorageUse {
  stats: StorageStats;
  /**
   * They were summed up from this replica, because no server could be reached: what is unsent counts, what other devices have
   * sent since the last sync does not, and the quota is not known.
   */
  is_estimate: boolean;
}

function issued(answer: raw.Value): IssuedApiKey {
  const { secret, ...key } = answer as unknown as ApiKey & { secret: string };
  return { key, secret: new Secret(secret) };
}

/**
 * The account's API keys, with which programs that cannot sign in reach the server. Every call asks the server: without a
 * network it fails with `offline`.
 */
export class ApiKeys {
  readonly #raw: raw.Client;

  /** @internal */
  constructor(client: raw.Client) {
    this.#raw = client;
  }

  #ask(method: string, path = "", body?: object): Promise<raw.Value> {
    return callAsync(() => this.#raw.askSettings(method, `/api-keys${path}`, body && json(body)));
  }

  #change(method: string, id: string, call: string, body?: object): Promise<raw.Value> {
    return this.#ask(method, `/${encodeURIComponent(id)}${call}`, body);
  }

  /**
   * Makes a key. If the answer is lost, the key may exist nevertheless: `list` shows it, and since nobody knows its secret, it can
   * only be deleted or rotated.
   */
  async create(key: NewApiKey): Promise<IssuedApiKey> {
    return issued(await this.#ask("POST", "", key));
  }

  /** All keys, oldest first, without their secrets. */
  async list(): Promise<ApiKey[]> {
    return ((await this.#ask("GET")) as unknown as { api_keys: ApiKey[] }).api_keys;
  }

  /** Gives a key another name. */
  rename(id: string, name: string): Promise<ApiKey> {
    return this.#change("PATCH", id, "", { name }) as Promise<unknown> as Promise<ApiKey>;
  }

  /** Switches a key on or off. One that is off is refused from then on. */
  setActive(id: string, is_active: boolean): Promise<ApiKey> {
    return this.#change("PUT", id, "/toggle", { is_active }) as Promise<unknown> as Promise<ApiKey>;
  }

  /**
   * Gives a key a new secret. The one before stays good for `overlapS` seconds, at most a week, so that programs can change over
   * one by one.
   */
  async rotate(id: string, { overlapS = 0 }: { overlapS?: number } = {}): Promise<IssuedApiKey> {
    return issued(await this.#change("POST", id, "/rotate", { overlap_s: overlapS }));
  }

  /** Deletes a key, for good. */
  async delete(id: string): Promise<void> {
    await this.#change("DELETE", id, "");
  }
}

/** See `Client.storage`. */
export async function storageUse(client: raw.Client): Promise<StorageUse> {
  try {
    const stats = await callAsync(() => client.askSettings("GET", "/storage"));
    return { stats: stats as unknown as StorageStats, is_estimate: false };
  } catch (error) {
    if (!isUnisonoError(error) || error.kind !== "offline") throw error;
    return { stats: await callAsync(() => client.storageEstimate()), is_estimate: true };
  }
}
