//! A deterministic simulation of devices, their server, and everything that can go wrong between them.
//!
//! One seed expands into a [`Config`] and a list of [`Action`]s; a run carries them out in virtual time, checks the
//! invariants of the design after every step, then heals everything, and checks that all ends in unison. The same seed gives
//! the same trace. The clients are real, their storage and network are doubles, and the server is whatever a [`Hosting`]
//! opens: `unisono_server::testing::ServerHosting` is the real service on SQLite in memory.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Config`] | what a seed stands for |
//! | [`Action`] | one step of a history; any can be left out |
//! | [`Hosting`], [`Host`] | the server: what must be possible with it |
//! | [`Access`] | the identity provider |
//! | [`SimDisk`] | a disk that loses power, fills up, and lets its process die at a write |
//! | [`Feature`] | a kind of use, with its generator and its checks |
//! | [`Variant`], [`Broken`] | what is broken on purpose, to see that the checks notice it |
//! | [`Ledger`] | every acknowledged write, and what became of it |

mod access;
mod action;
mod broken;
mod checks;
mod config;
mod cost;
mod coverage;
mod damage;
mod device;
mod disk;
mod eavesdrop;
mod excuses;
mod host;
mod hostile;
mod ledger;
mod minimise;
mod network;
mod panics;
mod perform;
mod plan;
mod run;
mod trace;
mod workload;
mod world;

pub use access::{Access, CANARY, Caller, Wallet};
pub use action::{Action, Caught, Decision, DeviceMishap, DiskError, NetworkFault, ServerMishap};
pub use broken::Broken;
pub use checks::{Ending, FinalScope, Violation};
pub use config::{ACCOUNTS, Config, DeviceConfig, WORKSPACE};
pub use coverage::{Coverage, UNREACHABLE, required};
pub use device::{Sound, Variant};
pub use disk::{DiskCopy, SimDisk};
pub use host::{Backup, Host, Hosting, Site};
pub use ledger::{Entry, Ledger, Planned, ReplicaId, Standing};
pub use network::{Station, Wire};
pub use run::{Failure, Report, Simulation};
pub use trace::Trace;
pub use workload::{App, Attempt, Feature, Note, built_in};
