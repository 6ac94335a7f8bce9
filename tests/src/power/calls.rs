//! Children each of whose calls fails once, or ends them.

use std::collections::BTreeMap;

use super::child::{Fault, FaultKind, Recorded};
use super::losses::{Range, Tally};
use super::marks::Mark;
use super::trace::Operation;

/// What came of children whose calls failed, one after the other.
#[derive(Clone, Debug)]
pub struct Calls {
    /// How many calls there were that could fail so.
    pub count: u64,
    /// How often a step was refused, by code.
    pub refusals: BTreeMap<String, u64>,
}

/// Lets each call fail that can fail so, once or until it is lifted. `run` runs a child under the fault: it keeps its promises in
/// one process. What a failed flush leaves unsure stays so whatever is flushed later: `losses` loses the power of one of `parts`
/// moments.
///
/// # Panics
/// If a promise is broken.
#[must_use]
pub fn every_call_fails(
    (kind, sticky): (FaultKind, bool),
    run: impl Fn(Fault) -> Result<Recorded, String>,
    parts: usize,
    losses: impl Fn(&[Operation], Range) -> Tally,
) -> Calls {
    let mut refusals = BTreeMap::new();
    for at in 0.. {
        let recorded = run(Fault { kind, sticky, at }).expect("a child is run");
        assert!(recorded.succeeded, "{kind:?} at {at}, sticky {sticky}: {}", recorded.complaint);
        for mark in recorded.marks() {
            if let Mark::Refused { code, .. } = mark {
                *refusals.entry(code).or_default() += 1;
            }
        }
        if !recorded.struck {
            println!("{kind:?}, sticky {sticky}: {at} calls, refusals {refusals:?}");
            return Calls { count: at, refusals };
        }
        if kind == FaultKind::Sync {
            let tally = losses(&recorded.operations, Range { rounds: 1, seed: at, part: 0, parts });
            assert!(tally.violations.is_empty(), "{kind:?} at {at}, sticky {sticky}: {:#?}", tally.violations);
        }
    }
    unreachable!("the workload ends")
}

/// Kills a child at every `step`th call. `killed` runs one, looks at what is left, and tells whether it was killed. Returns how
/// many were.
///
/// # Panics
/// If a promise is broken.
#[must_use]
pub fn kill_at_calls(step: usize, killed: impl Fn(Fault) -> Result<bool, String>) -> usize {
    let struck = |at: u64| {
        let fault = Fault { kind: FaultKind::Kill, sticky: false, at };
        killed(fault).unwrap_or_else(|what| panic!("killed at {at}: {what}"))
    };
    (0..).step_by(step).take_while(|at| struck(*at)).count()
}
