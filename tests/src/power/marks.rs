//! What a child says into its own record, and how it asks the shim for faults.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use unisono::model::{DeviceId, Scope};
use unisono::protocol::{PushRequest, PushResponse};

/// What a child says between its calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum Mark {
    /// A commit that will make this state begins.
    Begin {
        /// The digest of the state.
        state: u64,
    },
    /// The commit was acknowledged.
    Committed,
    /// The commit failed.
    Failed {
        /// With this code.
        code: String,
    },
    /// A call of the client returned these ids.
    Accepted {
        /// The ids.
        ids: Vec<String>,
    },
    /// A step failed under a fault and will be done again.
    Refused {
        /// Which.
        step: String,
        /// With this code.
        code: String,
        /// In words.
        message: String,
        /// Which of its attempts this was.
        attempt: u32,
    },
    /// A push goes to the server.
    Asked {
        /// The push.
        push: Box<PushRequest>,
    },
    /// The server has answered a push.
    Answered {
        /// Whose it was.
        device: DeviceId,
        /// Of which scope.
        scope: Scope,
        /// Which of the device's.
        push_seq: u64,
        /// The answer.
        answer: Box<PushResponse>,
    },
    /// The fault that the child was given has struck.
    Struck,
    /// A step is done.
    Step {
        /// Which.
        name: String,
    },
}

/// Where a child puts its marks. Clones write to the same record.
#[derive(Clone, Debug)]
pub struct Marks(Arc<Mutex<File>>);

impl Marks {
    /// Opens the record of `folder`.
    ///
    /// # Errors
    /// The system's.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(private(folder, ".marks")?))))
    }

    /// Says `mark`.
    ///
    /// # Panics
    /// If there is no room for it: the record would be worth nothing.
    pub fn put(&self, mark: &Mark) {
        let text = serde_json::to_string(mark).expect("a mark is JSON");
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes()).expect("a mark is recorded");
    }
}

/// How the shim is told to let calls fail.
#[derive(Debug)]
pub struct Control(File);

impl Control {
    /// Opens the way to the shim.
    ///
    /// # Errors
    /// The system's.
    pub fn open(folder: &Path) -> io::Result<Self> {
        private(folder, ".control").map(Self)
    }

    /// Says `command`, as `power.c` knows it; whether the shim agreed.
    pub fn say(&mut self, command: &str) -> bool {
        self.0.write_all(command.as_bytes()).is_ok()
    }
}

fn private(folder: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(folder.join(name))
}
