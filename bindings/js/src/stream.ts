/** Async iteration over what the module tells one by one. */

import { call, callAsync } from "./module.js";

/** A stream of the module. */
interface Source<T> {
  next(): Promise<T | undefined>;
  end(): void;
}

/**
 * Iterates over `open()`, which is called by the first step. Leaving the loop ends it, also while a step waits; it ends by
 * itself once the client is closed.
 */
export function iterate<Raw, T>(open: () => Source<Raw>, tell: (raw: Raw) => T): AsyncIterableIterator<T> {
  let source: Source<Raw> | undefined;
  let ended = false;
  const done = { done: true, value: undefined } as const;
  return {
    async next() {
      if (ended) return done;
      const opened = (source ??= open());
      const told = await callAsync(() => opened.next());
      if (told === undefined) {
        ended = true;
        return done;
      }
      return { done: false, value: tell(told) };
    },
    async return() {
      ended = true;
      const opened = source;
      if (opened) call(() => opened.end());
      return done;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
