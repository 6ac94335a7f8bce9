//! Every power loss of a record: an image for each moment and each way in which the unsynced may survive.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;

use unisono::testing::SeededRandom;

use super::child::scratch;
use super::disk::{Disk, Image, Survival};
use super::marks::Mark;
use super::trace::Operation;

/// The seeded ways; each is drawn once per round.
const DRAWN: [Survival; 3] = [Survival::Prefix, Survival::Subset, Survival::Torn];

/// Which images are made.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// How many times each seeded way is drawn at each moment.
    pub rounds: u64,
    /// What decides the draws.
    pub seed: u64,
    /// Only moments whose number leaves this rest...
    pub part: usize,
    /// ...when divided by this: several threads share the work.
    pub parts: usize,
}

impl Range {
    /// All moments.
    #[must_use]
    pub fn all(rounds: u64, seed: u64) -> Self {
        Self { rounds, seed, part: 0, parts: 1 }
    }
}

/// What came of the images.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Moments at which the power was lost.
    pub moments: u64,
    /// Images that were checked; an image that is the same as one before at the same moment is not counted.
    pub images: u64,
    /// The broken promises, with where they were met.
    pub violations: Vec<Violation>,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// How many images had been checked when it was met, itself included.
    pub after: u64,
    /// The number of the operation before which the power was lost.
    pub moment: usize,
    /// What survived.
    pub survival: Survival,
    /// The round of the draw.
    pub round: u64,
    /// Which promise, in words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, moment, survival, round, what } = self;
        write!(f, "image {after} (before operation {moment}, {survival:?}, round {round}): {what}")
    }
}

impl Tally {
    /// Adds what another thread has found.
    pub fn add(&mut self, other: Self) {
        self.moments += other.moments;
        self.images += other.images;
        self.violations.extend(other.violations);
    }

    /// Fails if a promise was broken.
    ///
    /// # Panics
    /// With the first ones.
    pub fn assert_clean(&self) {
        let shown: Vec<_> = self.violations.iter().take(5).map(ToString::to_string).collect();
        assert!(shown.is_empty(), "{} of {} images: {shown:#?}", self.violations.len(), self.images);
    }
}

/// Loses power before each operation of a record (and after the last), and lets `check` look at what is left. Marks go to
/// `note` in their order. The folder holds `disk` at the start. Stops after `enough` violations.
pub fn lose_power<State>(
    mut disk: Disk,
    operations: &[Operation],
    range: Range,
    enough: usize,
    state: &mut State,
    note: impl Fn(&mut State, &Mark),
    check: impl Fn(&Path, &State, Survival) -> Result<(), String>,
) -> Tally {
    let mut tally = Tally::default();
    let mut moment = 0;
    for index in 0..=operations.len() {
        let operation = operations.get(index);
        if let Some(Operation::Mark(text)) = operation {
            // The strictest moment is the last one before the next operation, when everything has been said.
            note(state, &serde_json::from_str(text).expect("a mark is readable"));
            continue;
        }
        moment += 1;
        if moment % range.parts == range.part {
            tally.moments += 1;
            let mut seen = BTreeSet::new();
            let drawn = (0..range.rounds).flat_map(|round| DRAWN.map(|survival| (survival, round)));
            for (survival, round) in [(Survival::Kept, 0), (Survival::Dropped, 0)].into_iter().chain(drawn) {
                let stream = (index as u64) << 20 | round << 3 | survival as u64;
                let image = disk.image(survival, &mut SeededRandom::stream(range.seed, stream));
                // What is promised may differ between a crash and a power loss.
                if !seen.insert((digest(&image), survival == Survival::Kept)) {
                    continue;
                }
                tally.images += 1;
                let folder = scratch();
                lay_out(&image, folder.path());
                if let Err(what) = check(folder.path(), state, survival) {
                    let after = tally.images;
                    tally.violations.push(Violation { after, moment: index, survival, round, what });
                    if tally.violations.len() >= enough {
                        return tally;
                    }
                }
            }
        }
        if let Some(operation) = operation {
            disk.perform(operation);
        }
    }
    tally
}

/// Writes the files of an image.
///
/// # Panics
/// If there is no room for them.
pub fn lay_out(image: &Image, folder: &Path) {
    for (name, bytes) in image {
        std::fs::write(folder.join(name), bytes).expect("an image is written");
    }
}

fn digest(image: &Image) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.hash(&mut hasher);
    hasher.finish()
}
