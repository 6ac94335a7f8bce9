/** Errors: real `Error`s, with what a program needs to know in fields. */

import type { ErrorKind, FieldError } from "./wasm/unisono.js";

export type { ErrorKind, FieldError };

/** What Unisono throws. */
export interface UnisonoError extends Error {
  name: "UnisonoError";
  /** Which error it is: stable, for programs. */
  code: string;
  /** The broad class. */
  kind: ErrorKind;
  /** Whether the same call may succeed later without anyone changing anything; false unless known. */
  retryable: boolean;
  /** Which fields do not fit, and what they may be, where a change of settings was refused (`settings_invalid`). */
  fields?: FieldError[];
}

/** Whether an error is Unisono's. */
export function isUnisonoError(error: unknown): error is UnisonoError {
  return error instanceof Error && error.name === "UnisonoError" && "code" in error;
}

function made(code: string, kind: ErrorKind, message: string, cause?: unknown): UnisonoError {
  const error = new Error(message, cause === undefined ? {} : { cause });
  return Object.assign(error, { name: "UnisonoError" as const, code, kind, retryable: false });
}

/** Input that was refused before it came to the module. */
export function invalid(code: string, message: string, cause?: unknown): UnisonoError {
  return made(code, "invalid", message, cause);
}

/** The module could not be fetched or compiled. */
export function notFetched(cause: unknown): UnisonoError {
  return made("load_failed", "internal", `the WebAssembly module cannot be loaded: ${cause}`, cause);
}

/** The module has panicked: a defect, after which nothing in it can run. */
export function internalError(words: string): UnisonoError {
  return made("internal", "internal", `Unisono has failed and must be loaded anew: ${words}`);
}

/** Something was called before the module was there. */
export function notLoaded(): UnisonoError {
  return made("not_loaded", "invalid", "Unisono is not loaded yet: await Client.open(…) or load() first");
}
