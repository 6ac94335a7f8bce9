//! The sync service, asked as a client asks it: over requests alone, on SQLite in memory and in files, in a world whose time
//! and chance are the test's.

mod access;
mod accounts;
mod answers;
mod conflicts;
mod exactly_once;
mod feed;
mod garbage;
mod history;
mod laws;
mod loopback;
mod lost_values;
mod threads;
mod verdicts;
mod world;
