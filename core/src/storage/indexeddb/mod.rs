//! The storage of a browser: one IndexedDB database for each replica.
//!
//! Keys are binary keys, which IndexedDB compares bytewise as the contract wants; a value is its row's
//! bytes. A transaction ends as soon as nothing is asked of it within its own events, so that no `await` may happen inside
//! one: [`transaction`] drives all of a call's requests from event callbacks, and only its end is awaited. A write is done
//! when its transaction is `complete`, with `durability: "strict"` unless asked otherwise (the browsers' own default may
//! lose it in a power loss).
//!
//! One client owns a replica: it holds a Web Lock of the database's name. Where there are no Web Locks (pages that are
//! not served securely), two tabs share the database: each unit of work runs inside one transaction, and looks whether the
//! other has written since its own last one.
//!
//! A browser may take a connection or all of an origin's data away. A lost connection is opened again by the next call;
//! data that is gone, or is another replica's, is [`StorageError::Corrupt`](crate::storage::StorageError::Corrupt), never
//! taken for an empty replica.

mod connection;
mod error;
mod lock;
mod read;
mod recover;
mod rows;
mod store;
mod transact;
mod transaction;

pub use store::{IndexedDbOptions, IndexedDbStorage};
