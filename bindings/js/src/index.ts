/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Unisono: embeddable, offline-first sync.
 *
 * The WebAssembly module beside this file is loaded by the first `Client.open`; `load` does it earlier, or from elsewhere.
 */

export { ApiKeys, type IssuedApiKey, Secret, type StorageUse } from "./api-keys.js";
export { Client, Workspace } from "./client.js";
export { Collection, Edit } from "./collection.js";
export type { Row, Rows, Seen, WriteOptions } from "./collection.js";
export { type ErrorKind, type FieldError, type UnisonoError, isUnisonoError } from "./error.js";
export { canonicalJson, load, parseJson } from "./module.js";
export { recover } from "./recovery.js";
export { Settings } from "./settings.js";
export type {
  ApiKey,
  Change,
  ClientEvent,
  CollectionStorage,
  Conflict,
  Filter,
  Finding,
  KeyPermission,
  KeyProvider,
  Level,
  NewApiKey,
  OpenOptions,
  Order,
  Outcome,
  Progress,
  QueryOptions,
  QueuedEvent,
  RecoveryReport,
  RecordState,
  ScopeStatus,
  Severity,
  Status,
  StorageStats,
  SyncEvent,
  SyncReport,
  SyncState,
  TextEdit,
  TokenReason,
  Value,
  Withheld,
} from "./wasm/unisono.js";
