//! Merge: what an event does to a record, given what its writer had not seen.
//!
//! [`apply`] is the client's half (views) and knows no clocks. [`merge`] is the server's half: pure, total, deterministic.
//! Where nothing concurrent happened the two agree; that is a property test. The rules are design §5; each row of that table
//! is a table test here.

mod apply;
mod clocks;
mod decide;
mod fields;
mod lift;
mod notes;
mod record;
#[cfg(test)]
mod tests;

pub use apply::{Skipped, apply, apply_event, show_event};
pub use clocks::{ElementClock, LeafClock, LeafClocks};
pub use decide::{LoggedWrite, Merged, Refusal, Write, merge, relevant};
pub use lift::{Lift, lift, newest_stamp};
pub use notes::{Decision, Referred, Rule, Side, fold_note, note_id, referred, values_of};
pub use record::StoredRecord;

/// The collection of conflict notes.
pub const CONFLICTS: &str = "$conflicts";
