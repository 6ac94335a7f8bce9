//! Carrying out actions.

use std::time::Duration;

use super::action::{Action, Decision, DeviceMishap, NetworkFault, ServerMishap};
use super::checks::Violation;
use super::config::{ACCOUNTS, WORKSPACE};
use super::excuses::Excuses;
use super::hostile::MALLORY;
use super::workload::inbox::open_notes;
use super::world::{Checked, World};
use crate::Client;
use crate::environment::timeout;
use crate::error::Error;
use crate::testing::CallKind;

impl World<'_> {
    /// Carries out one action.
    ///
    /// # Errors
    /// What it showed to be wrong.
    pub fn perform(&mut self, action: &Action) -> Checked {
        match action {
            Action::Work { device, feature, step } => self.work(*device, feature, step),
            Action::Sync { device, patience_ms } => self.sync(*device, patience_ms.map(Duration::from_millis)),
            Action::Parked { device, decision } => self.decide(*device, *decision),
            Action::Pass { ms } => {
                self.pass(Duration::from_millis(*ms));
                Ok(())
            }
            Action::Network { device, call, fault } => {
                let device = &mut self.devices[*device];
                let kind = CallKind::from(*call);
                match fault.script() {
                    None => {
                        device.network.inner().kill_server_after(kind);
                        device.killers.insert(kind);
                    }
                    script => {
                        device.network.script(kind, script);
                        device.scripted.entry(kind).or_default().push_back(*fault);
                    }
                }
                Ok(())
            }
            Action::Device { device, mishap } => {
                self.coverage.hit(mishap.name());
                self.befall(*device, mishap)
            }
            Action::Server { mishap } => {
                self.coverage.hit(mishap.name());
                self.befall_server(*mishap)
            }
        }
    }

    /// Counts the faults that calls have met since the last time.
    pub fn count_met_faults(&mut self) {
        for device in &mut self.devices {
            let (killers, wire) = (device.killers.len(), device.network.inner());
            device.killers.retain(|kind| wire.will_kill_server(*kind));
            if device.killers.len() < killers {
                self.coverage.hit(NetworkFault::KillServer.name());
            }
            for (kind, scripted) in &mut device.scripted {
                while scripted.len() > device.network.unmet_faults_of(*kind) {
                    self.coverage.hit(scripted.pop_front().map_or_else(String::new, |fault| fault.name()));
                }
            }
        }
    }

    fn work(&mut self, number: usize, feature: &str, step: &serde_json::Value) -> Checked {
        let Some(client) = self.client(number)? else { return Ok(()) };
        let features = self.features;
        let Some(feature) = features.iter().find(|known| known.name() == feature) else {
            return Err(Violation::new("run", format!("there is no feature {feature}")));
        };
        let mut app = self.app(number, client);
        app.notes = self.open_notes(number, &app.client);
        let Some(attempt) = feature.attempt(&app, step) else { return Ok(()) };
        let excused = self.excuses(number);
        let expected = feature.expects(step);
        let before = self.rows_at_rest(number);
        match self.make(number, feature.name(), attempt)? {
            None => self.note(number, "died in the call"),
            Some(Ok(ids)) => {
                // A feature whose writes are split looks for them itself.
                if !feature.splits() {
                    self.check_cost(number, before, ids.len())?;
                }
                self.note(number, &format!("wrote {ids:?}"));
                if let Some(code) = expected {
                    return Err(Violation::new("run", format!("{step} was accepted, not refused with {code}")));
                }
                feature_check(self, number, feature.check_written(&app, step))?;
            }
            Some(Err(error)) => {
                self.note(number, &format!("was refused: {error}"));
                let expected = expected == Some(error.code()) || feature.may_fail(error.code());
                if !expected && !excused.excuse(&error) {
                    return Err(Violation::new(
                        "run",
                        format!("{step} on d{number} failed: {}: {error}", error.code()),
                    ));
                }
            }
        }
        Ok(())
    }

    /// What the inbox of a device shows; nothing, if it cannot be read.
    fn open_notes(&mut self, number: usize, client: &Client) -> Vec<super::workload::Note> {
        let disk = self.devices[number].disk(self.variant).clone();
        disk.set_calm(true);
        let notes = self.guarded(number, open_notes(client));
        disk.set_calm(false);
        notes.and_then(Result::ok).unwrap_or_default()
    }

    fn sync(&mut self, number: usize, patience: Option<Duration>) -> Checked {
        let Some(client) = self.client(number)? else { return Ok(()) };
        let excused = self.excuses(number);
        let call = async {
            match patience {
                // Half of the impatient give up by the API, the others drop the call.
                Some(patience) if patience.as_millis() % 2 == 0 => client.sync_within(patience).await,
                Some(patience) => {
                    let environment = client.replica().environment().clone();
                    let given_up = Err(Error::Deadline(patience));
                    timeout(&*environment, patience, client.sync_now()).await.unwrap_or(given_up)
                }
                None => client.sync_now().await,
            }
        };
        match self.guarded(number, call) {
            None => self.note(number, "died in the sync"),
            Some(Ok(report)) => self.note(number, &format!("synced: {report:?}")),
            Some(Err(error)) => {
                self.met(&error);
                self.note(number, &format!("did not sync: {error}"));
                if !excused.excuse_sync(&error) {
                    return Err(Violation::new(
                        "run",
                        format!("a sync on d{number} failed: {}: {error}", error.code()),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The app deals with the oldest parked event.
    fn decide(&mut self, number: usize, decision: Decision) -> Checked {
        let Some(client) = self.client(number)? else { return Ok(()) };
        let excused = self.excuses(number);
        let Some(parked) = self.guarded(number, client.parked()) else { return Ok(()) };
        let parked = match parked {
            Ok(parked) => parked,
            Err(error) => {
                self.met(&error);
                return Ok(());
            }
        };
        let Some(event) = parked.first() else {
            // What is not parked cannot be decided on.
            let Some(last) = self.ledger.of(&self.devices[number].replica()).next_back().map(|last| last.id.clone())
            else {
                return Ok(());
            };
            if let Some(Err(error)) = self.guarded(number, client.retry(&last)) {
                self.met(&error);
            }
            return Ok(());
        };
        self.resolve(number, &client, &event.id, decision, excused)
    }

    /// Does as the app has decided.
    pub fn resolve(
        &mut self,
        number: usize,
        client: &Client,
        id: &crate::model::EventId,
        decision: Decision,
        excused: Excuses,
    ) -> Checked {
        let done = match decision {
            Decision::Retry => self.guarded(number, client.retry(id)),
            Decision::Discard => {
                let done = self.guarded(number, client.discard(id));
                // If the process died in the call, the replica says whether it happened.
                let happened = match &done {
                    Some(done) => done.is_ok(),
                    None => self.known(number).iter().any(|(known, row)| {
                        known == id && matches!(row.state, crate::replica::rows::Outcome::Discarded)
                    }),
                };
                if happened {
                    self.ledger.discard(id);
                }
                done
            }
            Decision::Replace => {
                let done = self.guarded(number, client.replace(id, |event| event));
                let new = match &done {
                    Some(Ok(new)) => Some(new.clone()),
                    Some(Err(_)) => None,
                    None => self.known(number).into_iter().find_map(|(known, row)| match row.state {
                        crate::replica::rows::Outcome::ReplacedBy { id: new } if known == *id => Some(new),
                        _ => None,
                    }),
                };
                if let Some(new) = new {
                    self.ledger.replace(id, new);
                }
                done.map(|done| done.map(drop))
            }
        };
        match done {
            None => self.note(number, &format!("died while it decided to {decision:?} {id}")),
            Some(Ok(())) => self.note(number, &format!("decided to {decision:?} {id}")),
            Some(Err(error)) => {
                self.met(&error);
                // What replaces an event here is its own content, which may still not fit what the app sees.
                let unfit =
                    decision == Decision::Replace && matches!(error.code(), "type_mismatch" | "pointer_into_array");
                if !excused.excuse(&error) && error.code() != "event_state" && !unfit {
                    return Err(Violation::new("I12", format!("{decision:?} of {id} on d{number} failed: {error}")));
                }
            }
        }
        Ok(())
    }

    fn befall(&mut self, number: usize, mishap: &DeviceMishap) -> Checked {
        match mishap {
            DeviceMishap::Crash => {
                self.devices[number].kill();
            }
            DeviceMishap::CrashAtWrite { write, after } => {
                if self.client(number)?.is_some() {
                    self.devices[number].disk(self.variant).crash_at(*write, *after);
                }
            }
            DeviceMishap::PowerLoss { kept } => return self.lose_power(number, *kept),
            DeviceMishap::LoseStore => return self.set_store(number, None),
            DeviceMishap::CopyStore => {
                if self.client(number)?.is_some() {
                    self.devices[number].copy_store();
                }
            }
            DeviceMishap::RestoreCopy => {
                if let Some(copy) = self.devices[number].store_copy() {
                    return self.set_store(number, Some(copy));
                }
            }
            DeviceMishap::JumpClock { ms } => self.devices[number].env.jump_wall(*ms),
            DeviceMishap::FreezeClock => self.devices[number].env.freeze_wall(true),
            DeviceMishap::ThawClock => self.devices[number].env.freeze_wall(false),
            DeviceMishap::FillDisk => self.devices[number].disk(self.variant).set_full(true),
            DeviceMishap::EmptyDisk => self.devices[number].disk(self.variant).set_full(false),
            DeviceMishap::FailDisk { write, error } => {
                self.devices[number].disk(self.variant).fail(*write, error.error());
            }
            DeviceMishap::GoOffline => self.devices[number].network.set_online(false),
            DeviceMishap::GoOnline => self.devices[number].network.set_online(true),
            DeviceMishap::ExpireTokens => self.access.expire(&self.devices[number].account.clone()),
            DeviceMishap::CloseWallet(closed) => {
                let access = self.access.clone();
                self.devices[number].wallet(&access).set_closed(*closed);
            }
            DeviceMishap::Expel => {
                // Somebody has to stay.
                let account = self.devices[number].account.clone();
                if self.expelled.is_empty() && account != ACCOUNTS[0] {
                    self.access.expel(&account, WORKSPACE);
                    self.outsiders.insert(account.clone());
                    self.expelled.insert(account);
                }
            }
            DeviceMishap::Admit => {
                let account = self.devices[number].account.clone();
                self.admit(&account);
            }
            DeviceMishap::Suspend
            | DeviceMishap::Resume
            | DeviceMishap::TellNetwork(_)
            | DeviceMishap::SetEnabled(_)
            | DeviceMishap::Reopen => return self.tell_app(number, mishap),
            DeviceMishap::Damage { after_ms } => return self.damage(number, *after_ms),
            DeviceMishap::SwitchAccount => return self.switch_account(number),
            DeviceMishap::Intrude => return self.intrude(number),
        }
        Ok(())
    }

    /// An account becomes a member of the workspace.
    pub fn admit(&mut self, account: &str) {
        self.access.admit(account, WORKSPACE);
        self.expelled.remove(account);
    }

    /// What the app itself does with the client.
    fn tell_app(&mut self, number: usize, mishap: &DeviceMishap) -> Checked {
        let Some(client) = self.client(number)? else { return Ok(()) };
        let excused = self.excuses(number);
        let done = match mishap {
            DeviceMishap::Suspend => {
                let done = self.guarded(number, client.suspend());
                self.devices[number].suspended = matches!(done, Some(Ok(())));
                done
            }
            DeviceMishap::Resume => {
                let done = self.guarded(number, client.resume());
                if matches!(done, Some(Ok(()))) {
                    self.devices[number].suspended = false;
                }
                done
            }
            DeviceMishap::TellNetwork(online) => {
                client.set_online(*online);
                self.devices[number].told_offline = !online;
                Some(Ok(()))
            }
            DeviceMishap::SetEnabled(true) => self.guarded(number, client.enable()),
            DeviceMishap::SetEnabled(false) => self.guarded(number, client.disable()),
            _ => {
                let done = self.guarded(number, client.close());
                if done.is_some() {
                    self.check_closed(number, &client)?;
                }
                done
            }
        };
        if let Some(Err(error)) = done {
            self.met(&error);
            if !excused.excuse(&error) {
                return Err(Violation::new("run", format!("{} on d{number} failed: {error}", mishap.name())));
            }
        }
        Ok(())
    }

    /// A client that was closed is of no use any more, and has left nothing running (I13).
    pub fn check_closed(&mut self, number: usize, client: &Client) -> Checked {
        self.env.run_until_idle();
        let later = self.env.block_on(client.collection("samples").get("r0"));
        let code = later.as_ref().err().map(|error| error.code().to_owned());
        if let Err(error) = &later {
            self.met(error);
        }
        if code.as_deref() != Some("closed") {
            return Err(Violation::new("run", format!("a read on a closed client gives {later:?}")));
        }
        // The storage beneath is closed as well.
        if let Err(error) = self.env.block_on(client.replica().scopes()) {
            self.met(&error);
        }
        self.devices[number].client = None;
        self.devices[number].suspended = false;
        self.devices[number].followed = super::workload::Followed::default();
        match self.devices[number].env.abort_tasks() {
            0 => Ok(()),
            left => Err(Violation::new("I13", format!("{left} tasks of d{number} outlive its closed client"))),
        }
    }

    /// The power goes. Only a disk that flushes late may lose anything, and then the last writes.
    fn lose_power(&mut self, number: usize, kept: u8) -> Checked {
        self.devices[number].kill();
        let Some(disk) = self.devices[number].present_disk().cloned() else { return Ok(()) };
        let writes = self.env.block_on(disk.lose_power(kept));
        if self.devices[number].config.survives_power_loss || writes == 0 {
            return Ok(());
        }
        self.coverage.hit("device/power_loss_of_writes");
        let (replica, known) = (self.devices[number].replica(), self.known(number));
        let lost = self.ledger.set_back(&replica, &known, true)?;
        self.reads.forget(&replica);
        self.note(number, &format!("lost {writes} writes to the disk and {lost} events with the power"));
        Ok(())
    }

    /// The store is replaced by a copy, or by nothing.
    fn set_store(&mut self, number: usize, copy: Option<super::DiskCopy>) -> Checked {
        self.devices[number].kill();
        let disk = self.devices[number].disk(self.variant);
        match copy {
            Some(copy) => disk.put_back(&copy),
            None => disk.wipe(),
        }
        let (replica, known) = (self.devices[number].replica(), self.known(number));
        self.ledger.forget_interrupted(&replica);
        let lost = self.ledger.set_back(&replica, &known, false)?;
        self.reads.forget(&replica);
        self.damage_is_set_back(&replica);
        self.note(number, &format!("lost {lost} events with its store"));
        Ok(())
    }

    /// The user signs out, and another one signs in. The replica that is left opens for nobody without a name.
    pub fn switch_account(&mut self, number: usize) -> Checked {
        let Some(client) = self.client(number)? else { return Ok(()) };
        let excused = self.excuses(number);
        match self.guarded(number, client.sign_out()) {
            None => return Ok(()),
            Some(Ok(left)) => self.note(number, &format!("signed out: {left:?}")),
            Some(Err(error)) => {
                self.met(&error);
                // The client is closed as far as it could be.
                self.devices[number].kill();
                if excused.excuse(&error) {
                    return Ok(());
                }
                return Err(Violation::new("run", format!("signing out on d{number} failed: {error}")));
            }
        }
        self.devices[number].kill();
        self.check_sealed(number)?;
        let device = &mut self.devices[number];
        let other = ACCOUNTS.iter().find(|account| **account != device.account).unwrap_or(&ACCOUNTS[0]);
        device.account = (*other).to_owned();
        // Whoever signs in has a token.
        device.wallet(&self.access).set_closed(false);
        self.client(number).map(drop)
    }

    fn check_sealed(&mut self, number: usize) -> Checked {
        let device = &mut self.devices[number];
        if device.disk(self.variant).is_failing() {
            return Ok(());
        }
        let disk = device.disk(self.variant).boot();
        let builder = Client::builder().storage(disk).environment(device.env.clone());
        let opened = self.env.block_on(builder.build());
        if let Err(error) = &opened {
            self.met(error);
        }
        match opened {
            Err(Error::Sealed) => Ok(()),
            other => Err(Violation::new("I14", format!("a sealed replica opens without a name: {other:?}"))),
        }
    }

    /// Another account tries to open the replica.
    fn intrude(&mut self, number: usize) -> Checked {
        if self.client(number)?.is_none() {
            return Ok(());
        }
        self.devices[number].kill();
        let device = &mut self.devices[number];
        if device.disk(self.variant).is_failing() {
            return Ok(());
        }
        let disk = device.disk(self.variant).boot();
        let builder = Client::builder().storage(disk).environment(device.env.clone()).account(MALLORY);
        let opened = self.env.block_on(builder.build());
        if let Err(error) = &opened {
            self.met(error);
        }
        match opened {
            Err(Error::IdentityMismatch { .. }) => Ok(()),
            other => Err(Violation::new("I14", format!("another account opens the replica of d{number}: {other:?}"))),
        }
    }

    fn befall_server(&mut self, mishap: ServerMishap) -> Checked {
        let station = self.station.clone();
        let host = station.host();
        let done = match mishap {
            ServerMishap::Kill => self.env.block_on(host.restart()),
            ServerMishap::Backup => {
                let now_ms = self.server_now();
                self.env.block_on(host.backup()).map(|backup| self.backups.push((now_ms, backup)))
            }
            ServerMishap::Restore(back) => {
                if self.coverage.counts().contains_key("network/late") {
                    self.ledger.lose_late_pushes();
                }
                let oldest_ms = self.server_now().saturating_sub(self.config.backup_age_ms);
                let recent: Vec<_> = self.backups.iter().filter(|(made_ms, _)| *made_ms >= oldest_ms).collect();
                let Some(at) = recent.len().checked_sub(1).map(|newest| newest - back % recent.len()) else {
                    return Ok(());
                };
                self.logs.forget();
                self.reads.server_was_restored();
                self.env.block_on(host.restore(&recent[at].1))
            }
            ServerMishap::CollectGarbage => self.env.block_on(host.collect_garbage()).map(drop),
            ServerMishap::Attack => return self.attack(),
        };
        done.map_err(|why| Violation::new("run", format!("{}: {why}", mishap.name())))?;
        if !matches!(mishap, ServerMishap::Backup | ServerMishap::CollectGarbage) {
            station.break_calls();
        }
        self.bury();
        Ok(())
    }
}

/// Runs a feature's check, in which nothing fails.
pub(super) fn feature_check(world: &mut World<'_>, number: usize, check: impl Future<Output = Checked>) -> Checked {
    let disk = world.devices[number].disk(world.variant).clone();
    disk.set_calm(true);
    let checked = world.guarded(number, check);
    disk.set_calm(false);
    checked.unwrap_or(Ok(()))
}
