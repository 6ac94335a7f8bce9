//! Drawing a history: the actions of a seed, before the first of them happens.

use super::action::{Action, Caught, Decision, DeviceMishap, DiskError, NetworkFault, ServerMishap};
use super::config::{ACCOUNTS, Config, index};
use super::workload::Feature;
use crate::testing::SeededRandom;

const YEAR_MS: i64 = 365 * 86_400_000;
/// Answers of something that is not our server.
const STATUSES: [u16; 9] = [500, 503, 401, 413, 400, 403, 404, 409, 422];

/// The actions that `config` stands for.
#[must_use]
pub fn plan(config: &Config, features: &[Box<dyn Feature>]) -> Vec<Action> {
    let random = &mut SeededRandom::stream(config.seed, 0x91a);
    let mut plan = Vec::with_capacity(config.actions);
    while plan.len() < config.actions {
        draw(random, config, features, &mut plan);
    }
    if let Some(device) = config.devices.iter().position(|device| config.latecomer && device.account != ACCOUNTS[0]) {
        let at = index(random, plan.len());
        plan.insert(at, Action::Device { device, mishap: DeviceMishap::Admit });
    }
    plan
}

fn draw(random: &mut SeededRandom, config: &Config, features: &[Box<dyn Feature>], plan: &mut Vec<Action>) {
    let device = index(random, config.devices.len());
    let dice = random.below(100);
    let network = config.network_faults;
    let devices = network + config.device_faults;
    let server = devices + config.server_faults;
    if dice < network && random.chance(4) {
        stubborn_proxy(random, device, plan);
    } else if dice < network {
        plan.push(network_fault(random, device));
    } else if dice < devices {
        device_mishap(random, device, plan);
    } else if dice < server {
        plan.push(Action::Server { mishap: server_mishap(random) });
    } else {
        plan.push(work(random, config, features, device));
    }
}

fn work(random: &mut SeededRandom, config: &Config, features: &[Box<dyn Feature>], device: usize) -> Action {
    match random.below(100) {
        0..22 => Action::Sync { device, patience_ms: random.chance(10).then(|| random.below(3_000)) },
        22..30 => Action::Pass { ms: passing(random) },
        30..34 => {
            let decision = [Decision::Retry, Decision::Replace, Decision::Discard][index(random, 3)];
            Action::Parked { device, decision }
        }
        _ => {
            let chosen: Vec<_> =
                features.iter().filter(|feature| config.features.iter().any(|name| name == feature.name())).collect();
            let feature = chosen[index(random, chosen.len())];
            Action::Work { device, feature: feature.name().to_owned(), step: feature.draw(random, config) }
        }
    }
}

fn passing(random: &mut SeededRandom) -> u64 {
    match random.below(4) {
        0 => random.below(100),
        1 => random.below(5_000),
        2 => random.below(90_000),
        _ => random.below(3_600_000),
    }
}

fn network_fault(random: &mut SeededRandom, device: usize) -> Action {
    let call =
        [Caught::Push, Caught::Push, Caught::Push, Caught::Changes, Caught::Changes, Caught::Request][index(random, 6)];
    let feed = call == Caught::Changes;
    let fault = match random.below(16) {
        0 => NetworkFault::DropRequest,
        1 | 2 => NetworkFault::DropResponse,
        3 => NetworkFault::Duplicate,
        4 => NetworkFault::Late(random.below(60_000)),
        5 => NetworkFault::Delay(random.below(40_000)),
        6 => NetworkFault::Garble,
        7 if feed => NetworkFault::Cut(index(random, 3)),
        8 if feed => NetworkFault::Truncate(index(random, 2)),
        7 | 8 => NetworkFault::DropResponse,
        9 => NetworkFault::Hang,
        10 => NetworkFault::Status(STATUSES[index(random, STATUSES.len())]),
        11 => NetworkFault::StatusAfterActing([500, 502, 504][index(random, 3)]),
        12 => NetworkFault::TooManyRequests(random.below(20)),
        13 => NetworkFault::Status(413),
        _ => NetworkFault::KillServer,
    };
    Action::Network { device, call, fault }
}

/// A push is lost on its way back, and a proxy refuses it from then on, however small it is cut. The app gives up on what is
/// parked so, and goes on with what had waited for it.
fn stubborn_proxy(random: &mut SeededRandom, device: usize, plan: &mut Vec<Action>) {
    let push = |fault| Action::Network { device, call: Caught::Push, fault };
    let sync = || Action::Sync { device, patience_ms: None };
    plan.push(push(NetworkFault::DropResponse));
    for _ in 0..2 + random.below(3) {
        plan.push(push(NetworkFault::Status(413)));
    }
    plan.extend([sync(), Action::Pass { ms: 60_000 }, sync(), sync()]);
    let decision = [Decision::Discard, Decision::Discard, Decision::Retry, Decision::Replace][index(random, 4)];
    plan.extend([Action::Parked { device, decision }, sync()]);
}

fn device_mishap(random: &mut SeededRandom, device: usize, plan: &mut Vec<Action>) {
    let mishap = match random.below(46) {
        0..=4 => DeviceMishap::Crash,
        5..=9 => DeviceMishap::CrashAtWrite { write: 1 + random.below(8), after: random.chance(50) },
        10..=13 => DeviceMishap::PowerLoss { kept: u8::try_from(random.below(256)).unwrap_or(0) },
        14 | 15 => DeviceMishap::Suspend,
        16 => DeviceMishap::Resume,
        17..=19 => {
            let span = if random.chance(50) { 10 * YEAR_MS } else { 60_000 };
            let ms = i64::try_from(random.below(u64::try_from(2 * span).unwrap_or(1))).unwrap_or(0) - span;
            DeviceMishap::JumpClock { ms }
        }
        20 => DeviceMishap::FreezeClock,
        21 => DeviceMishap::ThawClock,
        22 => DeviceMishap::FillDisk,
        23 | 24 => DeviceMishap::EmptyDisk,
        25 | 26 => {
            let errors = [
                DiskError::Io,
                DiskError::Io,
                DiskError::Unavailable,
                DiskError::Full,
                DiskError::Corrupt,
                DiskError::AlreadyOpen,
                DiskError::NewerSchema,
                DiskError::Foreign,
            ];
            DeviceMishap::FailDisk { write: random.chance(60), error: errors[index(random, errors.len())] }
        }
        27 => DeviceMishap::LoseStore,
        28 | 29 => DeviceMishap::CopyStore,
        30 | 31 => DeviceMishap::RestoreCopy,
        32 => DeviceMishap::GoOffline,
        33 | 34 => DeviceMishap::GoOnline,
        35 => DeviceMishap::TellNetwork(random.chance(60)),
        36 | 37 => DeviceMishap::ExpireTokens,
        38 => DeviceMishap::CloseWallet(random.chance(40)),
        39 => DeviceMishap::SwitchAccount,
        40 => DeviceMishap::SetEnabled(random.chance(60)),
        41 => DeviceMishap::Intrude,
        44 | 45 => DeviceMishap::Damage { after_ms: random.below(6_000) },
        42 if random.chance(25) => {
            plan.push(Action::Device { device, mishap: DeviceMishap::Expel });
            if random.chance(50) {
                return;
            }
            // Some hear of it, some do not.
            plan.push(Action::Sync { device, patience_ms: None });
            plan.push(Action::Pass { ms: passing(random) });
            DeviceMishap::Admit
        }
        _ => DeviceMishap::Reopen,
    };
    plan.push(Action::Device { device, mishap });
}

fn server_mishap(random: &mut SeededRandom) -> ServerMishap {
    match random.below(11) {
        0..=2 => ServerMishap::Kill,
        3..=5 => ServerMishap::Backup,
        6 | 7 => ServerMishap::Restore(index(random, 3)),
        8 => ServerMishap::Attack,
        _ => ServerMishap::CollectGarbage,
    }
}
