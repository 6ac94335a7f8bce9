/** Errors: real `Error`s, with what a program needs to know in fields. */

import type { ErrorKind } from "./wasm/unisono.js";

export type { ErrorKind };

/** What Unisono throws. */
export interface UnisonoError extends Error {
  name: "UnisonoError";
  /** Which error it is: stable, for programs. */
  code: string;
  /** The broad class. */
  kind: ErrorKind;
  /** Whether the same call may succeed later without anyone changing anything; false unless known. */
  retryable: boolean;
}

/** Whether an error is Unisono's. */
export function isUnisonoError(error: unknown): error is UnisonoError {
  return error instanceof Error && error.name === "UnisonoError" && "code" in error;
}

function made(code: string, kind: ErrorKind, message: string): UnisonoError {
  return Object.assign(new Error(message), { name: "UnisonoError" as const, code, kind, retryable: false });
}

/** The module has panicked: a defect, after which nothing in it can run. */
export function internalError(words: string): UnisonoError {
  return made("internal", "internal", `Unisono has failed and must be loaded anew: ${words}`);
}

/** Something was called before the module was there. */
export function notLoaded(): UnisonoError {
  return made("not_loaded", "invalid", "Unisono is not loaded yet: await Client.open(…) or load() first");
}
