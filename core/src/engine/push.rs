//! Pushing: one request in flight, sent again until it is answered, cut anew where it is refused as a whole.

use super::runtime::Engine;
use super::session::SyncReport;
use crate::error::{Error, Result};
use crate::limits::MAX_PUSH_EVENTS;
use crate::model::Scope;
use crate::protocol::{Problem, ProblemCode, PushRequest};
use crate::queue::{Judges, Selection};
use crate::replica::rows::Parking;
use crate::transport::TransportError;

/// Whether a push was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Its receipts are settled.
    Some,
    /// There was nothing to send.
    Nothing,
    /// A push that the server may hold was given up. A pull to the end tells whether it does; until then none is sent.
    GivenUp,
}

impl Engine {
    /// Sends the push in flight or the next one of what is selected, and settles its receipts.
    pub(super) async fn push_once(
        &self,
        scope: &Scope,
        selection: &Selection,
        report: &mut SyncReport,
    ) -> Result<Pushed> {
        let runtime = self.runtime(scope);
        loop {
            let max_events = runtime.memory().push_events;
            let Some(push) = self.queue.next_push(scope, max_events, selection).await? else {
                return Ok(Pushed::Nothing);
            };
            let replica = self.reader().replica().await?;
            let row = self.reader().scope(scope).await?;
            let before = self.environment.now_ms();
            let request = PushRequest {
                scope: scope.clone(),
                account: replica.account.clone().unwrap_or_default(),
                epoch: row.epoch.clone(),
                device_id: replica.device.clone(),
                push_seq: push.push_seq,
                cursor: row.cursor.clone(),
                seen: row.seen.clone(),
                device_now: crate::clock::HybridClock::new(replica.clock).corrected(before),
                events: push.events,
            };
            let answer = self
                .call(|context| {
                    let request = &request;
                    async move { self.transport.push(&context, request).await }
                })
                .await;
            let (judges, parking) = match answer {
                Ok(response) => {
                    self.check_server(&response.server_id).await?;
                    self.learn_time(response.server_now, before).await?;
                    let settlement = self.queue.settle(scope, response).await?;
                    report.pushed += settlement.settled;
                    report.conflicts += settlement.conflicts;
                    report.parked += settlement.parked;
                    runtime.memory().push_events = (max_events * 2).min(MAX_PUSH_EVENTS);
                    return Ok(Pushed::Some);
                }
                Err(Error::Transport(error)) => match Refusal::of(&error, push.resent) {
                    // May have been applied: the same push is sent again, after a pause.
                    Refusal::Ambiguous | Refusal::OfReplica => return Err(error.into()),
                    Refusal::OfRequest(judges) => (judges, parking_of(&error)),
                },
                Err(error) => return Err(error),
            };
            let count = request.events.len();
            let single = count == 1 || is_one_group(&request);
            report.parked += self.queue.recut(scope, Some(parking).filter(|_| single), judges).await?;
            runtime.memory().push_events = if single { MAX_PUSH_EVENTS } else { (count / 2).max(1) };
            if judges.leaves_doubt() {
                return Ok(Pushed::GivenUp);
            }
        }
    }
}

fn is_one_group(request: &PushRequest) -> bool {
    let group = request.events.first().and_then(|event| event.group.as_ref());
    group.is_some() && request.events.iter().all(|event| event.group.as_ref() == group)
}

/// Why an event that goes alone is parked.
fn parking_of(error: &TransportError) -> Parking {
    let message = match error {
        TransportError::Problem(problem) => problem.detail.clone().unwrap_or_else(|| problem.title.clone()),
        error => error.to_string(),
    };
    Parking { code: error.code().to_owned(), message, because: None }
}

/// Refusals that are about the replica, whatever their status.
const OF_REPLICA: [ProblemCode; 5] = [
    ProblemCode::EpochChanged,
    ProblemCode::DeviceForked,
    ProblemCode::CursorExpired,
    ProblemCode::InvalidCursor,
    ProblemCode::UnsupportedProtocol,
];

/// What a refused push means.
enum Refusal {
    /// Nobody knows whether it was applied.
    Ambiguous,
    /// It is about the replica, the account or the scope, not about these events.
    OfReplica,
    /// It cannot be taken as it is; nothing of this sending was applied.
    OfRequest(Judges),
}

impl Refusal {
    fn of(error: &TransportError, resent: bool) -> Self {
        match error {
            TransportError::Problem(problem) => Self::of_problem(problem, resent),
            // It would come again.
            TransportError::TooLong { .. } => Self::OfRequest(Judges::AnswerTooLong),
            TransportError::Unreachable(_) | TransportError::Malformed(_) => Self::Ambiguous,
        }
    }

    fn of_problem(problem: &Problem, resent: bool) -> Self {
        match problem.status {
            408 | 429 | 500..=599 => Self::Ambiguous,
            _ if OF_REPLICA.iter().any(|code| problem.is(*code)) => Self::OfReplica,
            // A proxy's limit; other bare statuses come from something that is not our server, and judge no event.
            413 => Self::OfRequest(Judges::ThisSending { resent }),
            _ if problem.is_bare() => Self::OfReplica,
            400 | 409 | 422 => Self::OfRequest(Judges::ThePush),
            _ => Self::OfReplica,
        }
    }
}
