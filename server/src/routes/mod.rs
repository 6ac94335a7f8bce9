//! The routes. [`table`] is the one list of them: router, OpenAPI document and tests are made of it.

#[cfg(test)]
mod access_tests;
mod account;
mod api_keys;
mod changes;
mod events;
mod headers;
mod openapi;
mod operations;
mod protocol;
mod query;
mod refusals;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use protocol::negotiate;
pub(crate) use table::{Route, table, tells_of_life};
