//! Settings, API keys and storage, asked over the routes as a client asks them, in a world whose time and chance are the
//! test's.

mod api;
mod documents;
mod issuers;
mod keys;
mod secrets;
