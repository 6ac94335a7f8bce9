/** Whether there is a network: what the app says, and what the browser says. */

import { call } from "./module.js";
import type * as raw from "./wasm/unisono.js";

/** Tells a client of the network. The browser's events count unless the app has said that there is none. */
export class Connectivity {
  readonly #client: raw.Client;
  #allowed = true;
  #following: AbortController | undefined;

  constructor(client: raw.Client) {
    this.#client = client;
  }

  /** The app's word. */
  set(online: boolean): void {
    this.#allowed = online;
    this.#tell(online);
  }

  /** Listens to the browser, where there is one; once. */
  follow(): void {
    if (this.#following || typeof globalThis.addEventListener !== "function") return;
    const { signal } = (this.#following = new AbortController());
    // The page holds its listeners: they must not hold a client that the app has let go.
    const weak = new WeakRef(this);
    const tell = (online: boolean) => weak.deref()?.hear(online);
    addEventListener("online", () => tell(true), { signal });
    addEventListener("offline", () => tell(false), { signal });
    // A page that is looked at again may have slept for long. (There is no document in a worker.)
    const seen = () => document.visibilityState === "visible" && navigator.onLine && tell(true);
    globalThis.document?.addEventListener("visibilitychange", seen, { signal });
  }

  /** Listens no more, and does not begin to. */
  leave(): void {
    (this.#following ??= new AbortController()).abort();
  }

  /** The browser's word. */
  hear(online: boolean): void {
    try {
      if (this.#allowed) this.#tell(online);
    } catch {
      // The module has failed, which every call of the app says.
      this.leave();
    }
  }

  #tell(online: boolean): void {
    call(() => this.#client.setOnline(online));
  }
}
