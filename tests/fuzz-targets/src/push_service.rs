//! Pushes against the real service: whatever they hold, the scope stays sound.

use serde_json::value::RawValue;
use unisono::model::Scope;
use unisono::protocol::{Problem, PushRequest, PushResponse};

use crate::server::{Server, WORKSPACE};

const ACCOUNT: &str = "alice";
const MAX_INPUT: usize = 16 << 10;
const MAX_PUSHES: usize = 6;

/// One push a line: each is answered with one receipt an event, in order, or with one problem; repeated, it is answered the
/// same; its settled events, sent anew, are not applied twice. Afterwards the stored records are those of the log, and the
/// digest is that of the records.
///
/// # Panics
/// If not.
pub fn push_service(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data.get(..MAX_INPUT).unwrap_or(data)) else { return };
    let pushes = text.lines().filter_map(|line| serde_json::from_str::<PushRequest<Box<RawValue>>>(line).ok());
    let pushes: Vec<_> = pushes.take(MAX_PUSHES).collect();
    if pushes.is_empty() {
        return;
    }
    let server = Server::new();
    for push in pushes {
        // Whose it is and where its pull stands are questions of other targets.
        let push = PushRequest { account: ACCOUNT.to_owned(), epoch: None, cursor: None, seen: None, ..push };
        check(&server, &push);
    }
    for scope in [Scope::User, Scope::workspace(WORKSPACE).expect("a name")] {
        let sound = server.differences(ACCOUNT, &scope);
        assert!(sound.is_empty(), "{sound:?}");
        server.records(ACCOUNT, &scope);
    }
}

fn check(server: &Server, push: &PushRequest<Box<RawValue>>) {
    let answer = match server.push(ACCOUNT, push.clone()) {
        Ok(answer) => answer,
        Err(problem) => {
            assert!((400..500).contains(&problem.status) && !problem.code.is_empty(), "{problem:?}");
            return;
        }
    };
    let ids: Vec<_> = answer.receipts.iter().map(|receipt| receipt.id.to_string()).collect();
    assert_eq!(ids, push.events.iter().map(|event| id_of(event)).collect::<Vec<_>>(), "receipts in request order");
    for receipt in &answer.receipts {
        let settled = receipt.status.is_settled();
        assert_eq!(receipt.revision.is_some(), settled, "{receipt:?}");
        // Absent where the record would say more than the answer holds; never without a revision after it.
        assert!(receipt.previous <= receipt.revision, "{receipt:?}");
    }
    let again = server.push(ACCOUNT, push.clone()).expect("a repeated push is answered");
    assert_eq!(again.receipts, answer.receipts, "verbatim");
    replay(server, push, &answer);
}

/// The same events under the next number.
fn replay(server: &Server, push: &PushRequest<Box<RawValue>>, answer: &PushResponse) {
    let Some(push_seq) = push.push_seq.checked_add(1) else { return };
    let head = head(server, push);
    let next = PushRequest { push_seq, ..push.clone() };
    let replayed: Result<PushResponse, Problem> = server.push(ACCOUNT, next);
    let Ok(replayed) = replayed else { return };
    let mut fresh = 0;
    for (first, second) in answer.receipts.iter().zip(&replayed.receipts) {
        if first.status.is_settled() {
            assert_eq!((first.status, first.revision), (second.status, second.revision), "an event takes effect once");
            // A replay may say less, never something else.
            assert!(second.previous.is_none_or(|previous| first.previous == Some(previous)), "{first:?} {second:?}");
        } else if second.status.is_settled() {
            fresh += 1;
        }
    }
    assert!(self::head(server, push) == head || fresh > 0, "nothing was applied, and yet the scope went on");
}

fn head(server: &Server, push: &PushRequest<Box<RawValue>>) -> u64 {
    server.records(ACCOUNT, &push.scope).1.revision
}

fn id_of(event: &RawValue) -> String {
    let event: serde_json::Value = serde_json::from_str(event.get()).unwrap_or_default();
    event.get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned()
}
