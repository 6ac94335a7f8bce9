//! Refusals on their way into the audit trail: gathered, so that whoever is refused a thousand times a second makes one row, and
//! cannot fill the disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use unisono::model::DeviceId;

use super::service::SyncService;
use crate::store::AuditRow;
use crate::telemetry::origin::Origin;

/// How long refusals are gathered.
const GATHER: Duration = Duration::from_secs(10);
/// Most kinds of refusals that are told apart meanwhile; the others are counted together.
const MOST: usize = 256;

/// One kind of refusal.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    account: String,
    device: Option<String>,
    peer: Option<String>,
    route: String,
    status: u16,
    code: String,
}

/// What was refused since it was last written down.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Kind, (u64, u64)>>);

impl Refusals {
    fn note(&self, kind: Kind, now_ms: u64) {
        // A panic while counting leaves counts, nothing that could be inconsistent.
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = if gathered.len() < MOST || gathered.contains_key(&kind) {
            kind
        } else {
            Kind { status: kind.status, code: kind.code, ..Kind::default() }
        };
        gathered.entry(kind).or_insert((now_ms, 0)).1 += 1;
    }

    /// Takes what was gathered, as audit rows.
    fn take(&self) -> Vec<AuditRow> {
        let gathered = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let row = |(kind, (first_ms, count)): (Kind, (u64, u64))| AuditRow {
            device: kind.device.and_then(|device| DeviceId::new(device).ok()),
            peer: kind.peer,
            outcome: kind.code,
            ..AuditRow::new(
                first_ms,
                kind.account,
                "refusal",
                json!({"route": kind.route, "status": kind.status, "count": count}),
            )
        };
        gathered.into_iter().map(row).collect()
    }
}

impl SyncService {
    /// Notes that a request was refused with `code`.
    pub(crate) fn note_refusal(&self, origin: &Origin, route: &str, status: u16, code: &str) {
        let kind = Kind {
            account: origin.account().unwrap_or_default().to_owned(),
            device: origin.device().map(str::to_owned),
            peer: origin.peer.clone(),
            route: route.to_owned(),
            status,
            code: code.to_owned(),
        };
        self.shared().refusals.note(kind, self.environment().now_ms());
    }

    /// Writes the refusals into the audit trail, every ten seconds. Ends only by being dropped; what is left then is written when
    /// the service is closed.
    pub async fn keep_trail(&self) {
        loop {
            self.environment().sleep(GATHER).await;
            self.write_refusals().await;
        }
    }

    pub(super) async fn write_refusals(&self) {
        let rows = self.shared().refusals.take();
        let count = rows.len();
        if count > 0
            && let Err(error) = self.shared().store.audit(rows).await
        {
            tracing::warn!(code = error.code(), cause = %error, count, "refusals are missing in the audit trail");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(account: usize) -> Kind {
        Kind { account: format!("a{account}"), status: 401, code: "invalid_token".to_owned(), ..Kind::default() }
    }

    #[test]
    fn the_same_refusal_is_one_row_and_there_are_never_many() {
        let refusals = Refusals::default();
        for now_ms in 1..=1_000 {
            refusals.note(kind(1), now_ms);
        }
        let rows = refusals.take();
        let told: Vec<_> = rows.iter().map(|row| (row.at_ms, row.user.as_str(), row.outcome.as_str())).collect();
        assert_eq!(told, [(1, "a1", "invalid_token")]);
        assert_eq!(rows[0].detail["count"], 1_000);
        assert!(refusals.take().is_empty());

        (0..10_000).for_each(|account| refusals.note(kind(account), 1));
        let rows = refusals.take();
        assert_eq!(rows.len(), MOST + 1);
        let all: u64 = rows.iter().filter_map(|row| row.detail["count"].as_u64()).sum();
        assert_eq!(all, 10_000, "none is forgotten");
    }
}
