/**
 * Values as JSON text, the way into the module.
 *
 * What belongs to the app is read here and nowhere else: a getter, a Proxy or a `toJSON` may throw, or call the client back,
 * and inside the module nothing could catch it. An integer that a number holds exactly is an integer, every other number a
 * double, whatever its value; a `bigint` is an integer of up to 64 bits. What JSON would change in silence is refused, and
 * the error names the field.
 */

import { invalid, isUnisonoError } from "./error.js";

/** Levels that are read: a document's, and what a query or an edit puts around it. Cycles end here, too. */
const DEEPEST = 96;
const UNDEFINED = "undefined is no JSON value";

/** The text of `value`, read once, before this returns; `place` is where it belongs, as a JSON Pointer. */
export function json(value: unknown, place = ""): string {
  const reading = new Reading(place);
  try {
    return reading.text(value) ?? reading.refuse("invalid_json", UNDEFINED);
  } catch (error) {
    if (isUnisonoError(error)) throw error;
    // The app's own code threw it.
    return reading.refuse("invalid_json", `it cannot be read: ${error}`, error);
  }
}

class Reading {
  readonly #place: string;
  /** The way to the field that is being read. */
  readonly #keys: (string | number)[] = [];

  constructor(place: string) {
    this.#place = place;
  }

  refuse(code: string, words: string, cause?: unknown): never {
    const pointer = this.#keys.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`);
    throw invalid(code, `${this.#place + pointer.join("") || "the value"}: ${words}`, cause);
  }

  /** Nothing for `undefined`, which JSON leaves out of objects. */
  text(value: unknown): string | undefined {
    switch (typeof value) {
      case "undefined":
        return undefined;
      case "boolean":
        return String(value);
      case "string":
        return this.#string(value);
      case "number":
        return this.#number(value);
      case "bigint":
        return this.#integer(value);
      case "object":
        return value === null ? "null" : this.#object(value);
      default:
        return this.refuse("invalid_json", `a ${typeof value} is no JSON value`);
    }
  }

  #string(value: string): string {
    if (/\p{Surrogate}/u.test(value)) this.refuse("lone_surrogate", "a string has a surrogate that stands alone");
    return JSON.stringify(value);
  }

  #number(value: number): string {
    if (!Number.isFinite(value)) this.refuse("invalid_number", `${value} is no JSON number`);
    const digits = String(value);
    // A double stays one, also where it has the digits of an integer.
    return Number.isSafeInteger(value) || /[.e]/.test(digits) ? digits : `${digits}.0`;
  }

  #integer(value: bigint): string {
    const fits = BigInt.asIntN(64, value) === value || BigInt.asUintN(64, value) === value;
    return fits ? String(value) : this.refuse("invalid_number", "a bigint has at most 64 bits");
  }

  #object(value: object): string | undefined {
    if (this.#keys.length > DEEPEST) this.refuse("nesting_too_deep", "nesting is deeper than 64 levels");
    if (Array.isArray(value)) {
      return `[${Array.from({ length: value.length }, (_, n) => this.#member(value, n)).join()}]`;
    }
    // As `JSON.stringify` does: a `Date` says here what it is.
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === "function") return this.text(toJSON.call(value));
    // Not asked of its class: another frame has other ones.
    const tag = Object.prototype.toString.call(value);
    if (tag !== "[object Object]") this.refuse("invalid_json", `${tag} is no JSON value`);
    const members: string[] = [];
    for (const key of Object.keys(value)) {
      const name = this.#string(key);
      const member = this.#member(value, key);
      if (member !== undefined) members.push(`${name}:${member}`);
    }
    return `{${members.join()}}`;
  }

  #member(owner: object, key: string | number): string | undefined {
    this.#keys.push(key);
    const text = this.text((owner as { [key: string | number]: unknown })[key]);
    if (text === undefined && Array.isArray(owner)) this.refuse("invalid_json", UNDEFINED);
    this.#keys.pop();
    return text;
  }
}
