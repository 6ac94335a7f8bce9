//! Merge: what an event does to a record, given what its writer had not seen.
//!
//! [`apply`] is the client's half (views) and knows no clocks. [`merge`] is the server's half: pure, total, deterministic.
//! Where nothing concurrent happened the two agree; that is a property test. The rules are design §5; each row of that table
//! is a table test here.

mod apply;
mod body;
mod clocks;
mod decide;
mod fields;
mod history;
mod lift;
mod notes;
mod packed;
mod record;
#[cfg(test)]
mod tests;
mod write;

pub use apply::{Skipped, apply, apply_event, show_event};
pub use body::Undo;
pub use clocks::{ElementClock, LeafClock, LeafClocks, Placed};
pub use decide::{Merged, Refusal, merge, relevant};
pub use history::History;
pub use lift::{Lift, lift, newest_stamp};
pub use notes::{Decision, Referred, Rule, Side, fold_note, note_id, referred, values_of};
pub use record::StoredRecord;
pub use write::{LoggedWrite, Trace, Write};

/// The collection of conflict notes.
pub const CONFLICTS: &str = "$conflicts";
