//! One push as one transaction: entry, device, verdicts, and the answer, which is stored with what it tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use unisono::environment::Environment;
use unisono::model::{Author, DeviceId, Receipt, ReceiptStatus, RecordKey, Revision};
use unisono::protocol::{Problem, ProblemCode, PushResponse};

use super::accounts::follow;
use super::age::AgeClock;
use super::answer::{Told, tell};
use super::caller::Caller;
use super::cursor_key::CursorKey;
use super::draft::{Draft, Finished};
use super::effect::lowest_base;
use super::history::{Claims, Entry, enter};
use super::intake::{Intake, push_hash};
use super::judge::{Judge, Ruling};
use super::service::Counts;
use super::token::{Evidence, Token, nonce_at, trail_before};
use crate::store::{AuditRow, CommitRow, DeviceRow, ScopeKey, ScopeRow, ScopeTx, StoreError, Verdict};

/// A push whose form is checked.
pub(super) struct Push {
    pub(super) scope: ScopeKey,
    pub(super) author: Author,
    pub(super) push_seq: u64,
    pub(super) claims: Claims,
    pub(super) events: Vec<Intake>,
    pub(super) server_id: String,
    pub(super) cursor_key: CursorKey,
    pub(super) ages: AgeClock,
    pub(super) counts: Arc<Counts>,
    /// How long, in milliseconds, it is remembered what was taken away, and when.
    pub(super) horizon_ms: u64,
}

/// What a push came to.
pub(super) struct Pushed {
    pub(super) answer: Result<PushResponse, Problem>,
    /// Whether there is something new to pull.
    pub(super) news: bool,
}

impl Pushed {
    fn refused(problem: Problem) -> Self {
        Self { answer: Err(problem), news: false }
    }
}

impl Push {
    /// Runs the push under its scope's lock.
    pub(super) fn run(
        self,
        tx: &mut dyn ScopeTx,
        environment: &dyn Environment,
    ) -> Result<(Verdict, Pushed), StoreError> {
        let hash = push_hash(&self.events);
        let device = tx.device(&self.author.device)?;
        let order = device.as_ref().map_or(Order::Next, |device| self.compare(device, &hash));
        // Before its history: numbers that mean other pushes here than there would tell it wrongly what the history holds.
        if order == Order::Forked {
            return Ok((Verdict::Discard, Pushed::refused(forked())));
        }
        let scope = match enter(tx, environment, &self.claims, &self.counts)? {
            Entry::Open(scope) => scope,
            Entry::Refused(problem) => return Ok((Verdict::Commit, Pushed::refused(problem))),
        };
        if let Some(device) = device.as_ref().filter(|_| order == Order::Repeated) {
            let answer = repeat(tx, device, environment.now_ms())?;
            return Ok((Verdict::Discard, Pushed { answer: Ok(answer), news: false }));
        }
        let pushed = self.settle(tx, environment, scope, device, hash)?;
        Ok((Verdict::Commit, pushed))
    }

    fn compare(&self, device: &DeviceRow, hash: &str) -> Order {
        if device.user != self.author.user || self.push_seq < device.push_seq {
            Order::Forked
        } else if self.push_seq > device.push_seq {
            Order::Next
        } else if device.push_hash == hash {
            Order::Repeated
        } else {
            Order::Forked
        }
    }

    fn settle(
        self,
        tx: &mut dyn ScopeTx,
        environment: &dyn Environment,
        scope: ScopeRow,
        device: Option<DeviceRow>,
        push_hash: String,
    ) -> Result<Pushed, StoreError> {
        let now_ms = environment.now_ms();
        let bases = bases(&self.events);
        let old_ms = self.ages.now_of(tx, &scope)?.saturating_sub(self.horizon_ms);
        let forgets = tx.commit_by(old_ms)?.map_or(0, |commit| commit.revision);
        let ids: Vec<_> = self.events.iter().map(|event| event.id.clone()).collect();
        let draft = Draft::new(tx, scope, bases, &ids)?;
        let joined = device.as_ref().map_or(draft.start(), |device| device.joined);
        let previous = device.as_ref().map_or(0, |device| device.push_seq);
        let stamp = device.and_then(|device| device.stamp);
        let mut judge = Judge::new(draft, environment, self.author.clone(), self.push_seq, now_ms, forgets, stamp);
        let rulings = judge_all(&mut judge, self.events)?;
        let Told { receipts, whole } = tell(&mut judge.draft, rulings)?;

        let (start, head) = (judge.draft.start(), judge.draft.head());
        let (stamp, notes) = (judge.stamp().cloned(), judge.made_notes());
        let commit = next_commit(judge.draft.tx(), environment, start, head, self.ages.now_ms())?;
        let Finished { mut batch, growth, tx } = judge.draft.finish(commit)?;
        follow(tx, &growth, &mut batch, now_ms)?;
        let token = Token {
            epoch: batch.scope.epoch.clone(),
            at: Evidence { revision: head, nonce: commit.map_or_else(|| nonce_at(tx, head), |made| Ok(made.nonce))? },
            bootstrap: None,
            head: None,
            trail: trail_before(tx, head)?,
        };
        let head_cursor = token.encode(&self.scope, &self.cursor_key);
        // Whoever stood at the start and knows these receipts has missed nothing; notes are known to the server alone. To a
        // new replica an empty scope is nothing to miss.
        let stood_at = self.claims.cursor.as_ref().map_or(0, |cursor| cursor.at.revision);
        let complete = !notes && whole && stood_at == start;
        let response = PushResponse {
            server_now: now_ms,
            server_id: self.server_id,
            epoch: token.epoch,
            cursor: complete.then(|| head_cursor.clone()),
            head: head_cursor,
            previous_push_seq: Some(previous),
            receipts,
        };
        if let Some(caller) = self.claims.caller.as_ref().filter(|_| !response.receipts.is_empty()) {
            batch.audit.push(audit(caller, self.push_seq, now_ms, &response.receipts));
        }
        let stored = serde_json::to_string(&response)
            .map_err(|error| StoreError::Internal(format!("an answer does not serialize: {error}")))?;
        let device = DeviceRow {
            device: self.author.device,
            user: self.author.user,
            push_seq: self.push_seq,
            push_hash,
            stamp,
            joined,
        };
        batch.device = Some((device, stored));
        tx.save(batch)?;
        Ok(Pushed { answer: Ok(response), news: head > start })
    }
}

/// The records of a push, each with the lowest base of its events.
fn bases(events: &[Intake]) -> BTreeMap<RecordKey, Revision> {
    let mut bases = BTreeMap::new();
    for event in events {
        let Some(key) = &event.key else { continue };
        let base = event.content.as_ref().map_or(Revision::MAX, lowest_base);
        let lowest = bases.entry(key.clone()).or_insert(base);
        *lowest = base.min(*lowest);
    }
    bases
}

/// Where a push stands against the device's last one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Next,
    Repeated,
    Forked,
}

/// The same push again: its answer was lost, and is given again, rejected verdicts included.
fn repeat(tx: &mut dyn ScopeTx, device: &DeviceRow, server_now: u64) -> Result<PushResponse, StoreError> {
    let stored = tx.last_response(&device.device)?.unwrap_or_default();
    let response: PushResponse = serde_json::from_str(&stored)
        .map_err(|error| StoreError::Corrupt(format!("a stored answer cannot be read: {error}")))?;
    Ok(PushResponse { server_now, ..response })
}

fn forked() -> Problem {
    Problem::of(ProblemCode::DeviceForked, "another replica pushes under this device id")
}

fn judge_all(judge: &mut Judge<'_, '_>, events: Vec<Intake>) -> Result<Vec<Ruling>, StoreError> {
    let mut rulings = Vec::with_capacity(events.len());
    let mut events = events.into_iter().peekable();
    let mut position = 0;
    while let Some(first) = events.next() {
        let mut unit = vec![first];
        while let Some(next) = events.next_if(|next| next.group.is_some() && next.group == unit[0].group) {
            unit.push(next);
        }
        let count = u32::try_from(unit.len()).unwrap_or(u32::MAX);
        rulings.extend(judge.unit(unit, position)?);
        position = position.saturating_add(count);
    }
    Ok(rulings)
}

/// The commit that gives out the revisions after `start`, if there are any.
pub(super) fn next_commit(
    tx: &mut dyn ScopeTx,
    environment: &dyn Environment,
    start: Revision,
    head: Revision,
    age_ms: u64,
) -> Result<Option<CommitRow>, StoreError> {
    if head == start {
        return Ok(None);
    }
    let mut nonce = [0; 8];
    environment.random(&mut nonce);
    // The clock of ages may have been kept before the newest commit was made.
    let last = if start == 0 { None } else { tx.commit_before(start)? };
    let at_ms = last.map_or(age_ms, |last| last.at_ms.max(age_ms));
    Ok(Some(CommitRow { revision: head, nonce: u64::from_be_bytes(nonce), at_ms }))
}

/// Outcomes by number, and each event that took no effect: the others are in the log.
fn audit(caller: &Caller, push_seq: u64, at_ms: u64, receipts: &[Receipt]) -> AuditRow {
    let mut outcomes = BTreeMap::<String, u64>::new();
    for receipt in receipts {
        *outcomes.entry(status_name(receipt.status)).or_default() += 1;
    }
    let refused: Vec<_> = receipts
        .iter()
        .filter(|receipt| !receipt.status.is_settled())
        .map(|receipt| json!({"id": receipt.id, "status": receipt.status, "code": receipt.code}))
        .collect();
    caller.audit(at_ms, "push", json!({"push_seq": push_seq, "outcomes": outcomes, "refused": refused}))
}

fn status_name(status: ReceiptStatus) -> String {
    json!(status).as_str().unwrap_or_default().to_owned()
}

/// Refuses device ids that are the server's own.
pub(super) fn check_device(device: &DeviceId) -> Result<(), Problem> {
    if super::effect::is_server(device) || super::settings::is_rest(device) {
        return Err(Problem::of(ProblemCode::InvalidRequest, "this device id is the server's own"));
    }
    Ok(())
}
