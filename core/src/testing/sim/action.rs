//! What a run consists of: a list of actions, drawn from the seed before the first one happens.
//!
//! No action depends on what another one came to, so that any of them can be left out: that is how a failing history is
//! minimised and kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::Problem;
use crate::storage::StorageError;
use crate::testing::{CallKind, Fault};

/// One step of a history. Devices are named by number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// The app does something: a step of a [`Feature`](super::Feature), in that feature's own words.
    Work {
        /// Where.
        device: usize,
        /// The feature.
        feature: String,
        /// The step.
        step: serde_json::Value,
    },
    /// The app asks for a sync and waits for it; not longer than `patience_ms`, if that is given.
    Sync {
        /// Where.
        device: usize,
        /// After so long the app gives up: the call is dropped wherever it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        patience_ms: Option<u64>,
    },
    /// The app deals with its oldest parked event.
    Parked {
        /// Where.
        device: usize,
        /// How.
        decision: Decision,
    },
    /// Time passes.
    Pass {
        /// Milliseconds.
        ms: u64,
    },
    /// A coming call of a device meets a fault.
    Network {
        /// Whose call.
        device: usize,
        /// Which kind of call: the next one that no fault waits for yet.
        call: Caught,
        /// The fault.
        fault: NetworkFault,
    },
    /// Something happens to a device.
    Device {
        /// Which.
        device: usize,
        /// What.
        mishap: DeviceMishap,
    },
    /// Something happens to the server.
    Server {
        /// What.
        mishap: ServerMishap,
    },
}

/// How an app deals with a parked event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// As it is, once more.
    Retry,
    /// Under a new id.
    Replace,
    /// Not at all.
    Discard,
}

/// The calls that faults wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caught {
    /// A push.
    Push,
    /// A pull.
    Changes,
    /// Any other request.
    Request,
}

impl From<Caught> for CallKind {
    fn from(caught: Caught) -> Self {
        match caught {
            Caught::Push => Self::Push,
            Caught::Changes => Self::Changes,
            Caught::Request => Self::Request,
        }
    }
}

/// What can happen on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkFault {
    /// The request is lost.
    DropRequest,
    /// The response is lost.
    DropResponse,
    /// The request arrives twice.
    Duplicate,
    /// The caller hears that it failed; the request arrives so many milliseconds later, after whatever was sent meanwhile.
    Late(u64),
    /// Request and response take so many milliseconds together.
    Delay(u64),
    /// The response cannot be read.
    Garble,
    /// The feed breaks after so many chunks.
    Cut(usize),
    /// The feed ends in peace after so many chunks, without its last line.
    Truncate(usize),
    /// No answer ever comes.
    Hang,
    /// The server answers with this status and does nothing.
    Status(u16),
    /// A gateway answers with this status after the server has acted.
    StatusAfterActing(u16),
    /// 429 with a Retry-After of so many seconds.
    TooManyRequests(u64),
    /// The server commits and dies before it answers.
    KillServer,
}

impl NetworkFault {
    /// The name under which it is counted.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::DropRequest => "network/drop_request".to_owned(),
            Self::DropResponse => "network/drop_response".to_owned(),
            Self::Duplicate => "network/duplicate".to_owned(),
            Self::Late(_) => "network/late".to_owned(),
            Self::Delay(_) => "network/delay".to_owned(),
            Self::Garble => "network/garble".to_owned(),
            Self::Cut(_) => "network/cut".to_owned(),
            Self::Truncate(_) => "network/truncate".to_owned(),
            Self::Hang => "network/hang".to_owned(),
            Self::Status(status) => format!("network/status_{status}"),
            Self::StatusAfterActing(_) => "network/status_after_acting".to_owned(),
            Self::TooManyRequests(_) => "network/too_many_requests".to_owned(),
            Self::KillServer => "network/kill_server".to_owned(),
        }
    }

    /// The scripted fault; `None` for what is more than a fault of the transport.
    #[must_use]
    pub fn script(self) -> Option<Fault> {
        let bare = |status: u16| Problem::new(status, format!("http_{status}"), "simulated");
        Some(match self {
            Self::DropRequest => Fault::drop_request(),
            Self::DropResponse => Fault::drop_response(),
            Self::Duplicate => Fault::duplicate(),
            Self::Late(ms) => Fault::late(Duration::from_millis(ms)),
            Self::Delay(ms) => {
                let half = Duration::from_millis(ms / 2);
                Fault::none().request_delayed(half).response_delayed(half)
            }
            Self::Garble => Fault::garble(),
            Self::Cut(chunks) => Fault::cut_feed(chunks),
            Self::Truncate(chunks) => Fault::truncate_feed(chunks),
            Self::Hang => Fault::hang(),
            Self::Status(status) => Fault::answer(bare(status)),
            Self::StatusAfterActing(status) => Fault::act_and_answer(bare(status)),
            Self::TooManyRequests(seconds) => Fault::too_many_requests(seconds),
            Self::KillServer => return None,
        })
    }
}

/// What can happen to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceMishap {
    /// The process ends without a word.
    Crash,
    /// The process ends at its `write`th write to the disk from now on, just before or just after it took effect.
    CrashAtWrite {
        /// Counted from 1.
        write: u64,
        /// Whether the write took effect.
        after: bool,
    },
    /// The power goes. Of the writes that were not flushed, this share of 256 is left.
    PowerLoss {
        /// 0 for none, 255 for nearly all.
        kept: u8,
    },
    /// The system suspends the app, which was told before.
    Suspend,
    /// The app goes on.
    Resume,
    /// The wall clock is set to another time.
    JumpClock {
        /// By so many milliseconds.
        ms: i64,
    },
    /// The wall clock stands still.
    FreezeClock,
    /// It goes on.
    ThawClock,
    /// The disk is full.
    FillDisk,
    /// There is room again.
    EmptyDisk,
    /// A coming read or write of the disk fails once.
    FailDisk {
        /// Whether a write, or else a read.
        write: bool,
        /// With what.
        error: DiskError,
    },
    /// The whole store is gone.
    LoseStore,
    /// The user copies the store's file.
    CopyStore,
    /// The user puts the copy back.
    RestoreCopy,
    /// The network goes away.
    GoOffline,
    /// It comes back.
    GoOnline,
    /// The app tells the client that the network went away, or is there.
    TellNetwork(bool),
    /// All tokens that the device's account was given expire.
    ExpireTokens,
    /// The user is signed out of the identity provider: there are no tokens to be had, or there are again.
    CloseWallet(bool),
    /// The user signs out, and another one signs in on the same device.
    SwitchAccount,
    /// Sync is switched off on the device, or on again.
    SetEnabled(bool),
    /// Somebody opens the device's replica as another account.
    Intrude,
    /// The account is no member of the workspace any more.
    Expel,
    /// The account is a member again, or for the first time. Tokens that it has do not say so.
    Admit,
    /// A record on the disk becomes another one, and the app lets the doctor look. So much later another device syncs what it
    /// has written to such records.
    Damage {
        /// In milliseconds.
        after_ms: u64,
    },
    /// The app closes the client in an orderly way and opens it again.
    Reopen,
}

/// What a disk can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskError {
    /// `storage_io`.
    Io,
    /// `storage_unavailable`.
    Unavailable,
    /// `storage_full`.
    Full,
    /// `storage_corrupt`.
    Corrupt,
    /// `already_open`.
    AlreadyOpen,
    /// `newer_schema`.
    NewerSchema,
    /// `not_a_replica`.
    Foreign,
}

impl DiskError {
    /// The storage's error.
    #[must_use]
    pub fn error(self) -> StorageError {
        let words = || "simulated".to_owned();
        match self {
            Self::Io => StorageError::Io(words()),
            Self::Unavailable => StorageError::Unavailable(words()),
            Self::Full => StorageError::Full(words()),
            Self::Corrupt => StorageError::Corrupt(words()),
            Self::AlreadyOpen => StorageError::AlreadyOpen(words()),
            Self::NewerSchema => StorageError::NewerSchema { found: 2, known: 1 },
            Self::Foreign => StorageError::Foreign(words()),
        }
    }
}

impl DeviceMishap {
    /// The name under which it is counted.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crash => "device/crash",
            Self::CrashAtWrite { after: false, .. } => "device/crash_before_write",
            Self::CrashAtWrite { after: true, .. } => "device/crash_after_write",
            Self::PowerLoss { .. } => "device/power_loss",
            Self::Suspend => "device/suspend",
            Self::Resume => "device/resume",
            Self::JumpClock { .. } => "device/jump_clock",
            Self::FreezeClock => "device/freeze_clock",
            Self::ThawClock => "device/thaw_clock",
            Self::FillDisk => "device/fill_disk",
            Self::EmptyDisk => "device/empty_disk",
            Self::FailDisk { .. } => "device/fail_disk",
            Self::LoseStore => "device/lose_store",
            Self::CopyStore => "device/copy_store",
            Self::RestoreCopy => "device/restore_copy",
            Self::GoOffline => "device/go_offline",
            Self::GoOnline => "device/go_online",
            Self::TellNetwork(_) => "device/tell_network",
            Self::ExpireTokens => "device/expire_tokens",
            Self::CloseWallet(_) => "device/close_wallet",
            Self::SwitchAccount => "device/switch_account",
            Self::SetEnabled(_) => "device/set_enabled",
            Self::Intrude => "device/intrude",
            Self::Expel => "device/expel",
            Self::Admit => "device/admit",
            Self::Damage { .. } => "device/damage",
            Self::Reopen => "device/reopen",
        }
    }
}

/// What can happen to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerMishap {
    /// The process is killed and starts again.
    Kill,
    /// The operator makes a backup.
    Backup,
    /// The operator puts back one of the backups that are not too old: the newest, the one before, and so on; round again
    /// if there are fewer.
    Restore(usize),
    /// Every tombstone is dropped now.
    CollectGarbage,
    /// A member of the workspace attacks everybody else in it.
    Attack,
}

impl ServerMishap {
    /// The name under which it is counted.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "server/kill",
            Self::Backup => "server/backup",
            Self::Restore(_) => "server/restore",
            Self::CollectGarbage => "server/collect_garbage",
            Self::Attack => "server/attack",
        }
    }
}
