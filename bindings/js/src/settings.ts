/** Settings: choices by level over defaults in code. */

import { json } from "./json.js";
import { call, callAsync } from "./module.js";
import { iterate } from "./stream.js";
import type * as raw from "./wasm/unisono.js";
import type { Level } from "./wasm/unisono.js";
import type { Patch } from "./collection.js";

/**
 * A document of settings. Reads never wait for the network; a change is durable when its promise resolves. What is stored is
 * what somebody has chosen: a default is never written, and what holds already is no choice.
 */
export class Settings<T extends object = { [field: string]: raw.Value }> {
  readonly #raw: raw.Settings;

  /** @internal */
  constructor(settings: raw.Settings) {
    this.#raw = settings;
  }

  /** The same document, whose changes are made at `level`; without it they are the user's, on all devices. */
  at(level: Exclude<Level, "default">): Settings<T> {
    return new Settings<T>(call(() => this.#raw.at(level)));
  }

  /** The whole document as it holds on this device: defaults filled in, unknown fields of newer versions as they are. */
  get(): Promise<T> {
    return callAsync(() => this.#raw.get()) as Promise<T>;
  }

  /**
   * Applies an RFC 7396 merge patch: `null` takes a choice back. The event's id, or `null` if nothing changes. What does not fit
   * its field is refused with `settings_invalid`, which names each field and what it may be.
   */
  update(patch: Patch<T>): Promise<string | null> {
    return callAsync(() => this.#raw.update(json(patch)));
  }

  /**
   * Takes back the choice at `path` (a JSON Pointer or a member's name) and all below it; whether there was one. Without a level,
   * the user's and this device's.
   */
  reset(path: string): Promise<boolean> {
    return callAsync(() => this.#raw.reset(path));
  }

  /** Where the value at `path` comes from: the narrowest level that has it. */
  level(path: string): Promise<Level> {
    return callAsync(() => this.#raw.level(path));
  }

  /** Whether somebody has chosen the value at `path`. */
  async isOverridden(path: string): Promise<boolean> {
    return (await this.level(path)) !== "default";
  }

  /** Follows the document: first as it is, then whenever it changes, here or on another device. */
  watch(): AsyncIterableIterator<T> {
    return iterate(
      () => call(() => this.#raw.watch()),
      (document: raw.Value) => document as T,
    );
  }
}
