//! TypeScript names of what is text, or anything, in the declarations that the core's types make of themselves.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const ALIASES: &str = r#"
/** A JSON value. Integers beyond 2^53 are `bigint`; every other number is a `number`. `undefined` members are left out. */
export type Value = null | boolean | number | bigint | string | Value[] | { [key: string]: Value };
export type CollectionName = string;
export type RecordId = string;
export type EventId = string;
export type GroupId = string;
/** `user`, or `workspace:<id>`. */
export type Scope = string;
/** A JSON Pointer. */
export type Pointer = string;
export type Stamp = string;
export type Revision = number;
/** The text with which a next page begins. */
export type Continuation = string;
/** One field operation. (A union cannot be derived as a part of an interface.) */
export type Op = OpKind & { path: Pointer; base?: Revision; stamp?: Stamp };
/** A record's place. */
export interface RecordKey { collection: CollectionName; record: RecordId }
"#;
