//! The trace: everything observable of a run, line by line, and its hash. The same seed gives the same hash.

use sha2::{Digest, Sha256};

use crate::model::value::hex;

/// The lines of a run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hasher: Sha256,
    lines: Vec<String>,
}

impl Trace {
    /// Adds a line.
    pub fn line(&mut self, line: impl Into<String>) {
        let line = line.into();
        self.hasher.update(line.as_bytes());
        self.hasher.update(b"\n");
        self.lines.push(line);
    }

    /// All lines so far.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The hash over all lines so far.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&self.hasher.clone().finalize()[..16])
    }
}
