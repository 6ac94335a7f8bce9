//! Cursors that a client made up, changed or kept too long.

use std::cell::RefCell;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use unisono::model::Scope;
use unisono::protocol::{ChangesRequest, Cursor};

use crate::bytes::Bytes;
use crate::server::{CURSOR_KEY, Server};

const ACCOUNT: &str = "alice";
/// What a cursor of the account's own scope is bound to.
const SCOPE_KEY: &str = "user:alice";
/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 16;

/// A server with some history, and cursors that it gave out.
#[derive(Debug)]
struct World {
    server: Server,
    genuine: Vec<Cursor>,
    records: Value,
}

impl World {
    fn new() -> Self {
        let server = Server::new();
        let mut genuine = Vec::new();
        for push_seq in 1..=6u64 {
            let event = json!({
                "id": format!("e{push_seq}"), "collection": "samples", "record": format!("r{}", push_seq % 4),
                "action": "create", "doc": {"n": push_seq}, "base": push_seq - 1, "stamp": format!("{push_seq:012x}-0000-d"),
            });
            let push = json!({
                "scope": "user", "account": ACCOUNT, "epoch": null, "device_id": "d", "push_seq": push_seq, "cursor": null,
                "device_now": 0, "events": [event],
            });
            let push = serde_json::from_str(&push.to_string()).expect("a push");
            server.push(ACCOUNT, push).expect("it is taken");
            genuine.push(server.records(ACCOUNT, &Scope::User).1.cursor);
            // In the midst of a first sync.
            let part = ChangesRequest { limit: Some(1), ..ChangesRequest::from_start(Scope::User) };
            genuine.extend(server.pull(ACCOUNT, part).expect("a part").into_iter().map(|chunk| chunk.cursor));
        }
        let records = json!(server.records(ACCOUNT, &Scope::User).0);
        Self { server, genuine, records }
    }

    fn open(&self, request: ChangesRequest) -> Answer {
        match self.server.pull(ACCOUNT, request) {
            Ok(chunks) => {
                assert!(chunks.last().is_some_and(|chunk| chunk.trailer.is_some()), "a feed ends with a trailer");
                Answer::Feed
            }
            Err(problem) => {
                let known = [(400, "invalid_cursor"), (409, "epoch_changed"), (410, "cursor_expired")];
                assert!(known.contains(&(problem.status, problem.code.as_str())), "{problem:?}");
                if problem.status == 400 { Answer::Unreadable } else { Answer::Changed }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Feed,
    Unreadable,
    Changed,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// A text, an edited genuine cursor, or any bytes under a right signature, as `cursor` or as `seen`: the answer is a whole
/// feed or one of three problems; what is not signed is unreadable; and no record is lost by it.
///
/// # Panics
/// If not.
pub fn cursor(data: &[u8]) {
    WORLD.with_borrow_mut(|world| {
        let answer = ask(world.get_or_insert_with(World::new), &mut Bytes::new(data));
        if answer == Answer::Changed {
            // A claim about a lost history may have begun a new one. The next input meets the old one again.
            if let Some(world) = world.take() {
                assert_eq!(json!(world.server.records(ACCOUNT, &Scope::User).0), world.records, "nothing is lost");
            }
        }
    });
}

fn ask(world: &World, bytes: &mut Bytes<'_>) -> Answer {
    let as_evidence = bytes.once_in(4);
    let mode = bytes.below(4);
    let original = bytes.of(&world.genuine).clone();
    let cursor = match mode {
        0 => Cursor(String::from_utf8_lossy(bytes.rest()).into_owned()),
        1 => Cursor(URL_SAFE_NO_PAD.encode(edited(&original, bytes))),
        2 => signed(bytes.rest()),
        // A genuine one with its content changed, under a right signature.
        _ => {
            let edited = edited(&original, bytes);
            signed(edited.split_at(edited.len().saturating_sub(SIGNATURE_BYTES)).0)
        }
    };
    let request = ChangesRequest::from_start(Scope::User);
    let request = if as_evidence {
        ChangesRequest { seen: Some(cursor.clone()), ..request }
    } else {
        ChangesRequest { cursor: Some(cursor.clone()), ..request }
    };
    let answer = world.open(request);
    if world.genuine.contains(&cursor) {
        assert_eq!(answer, Answer::Feed, "{cursor:?} is genuine");
    } else if !is_signed(&cursor) {
        assert_eq!(answer, Answer::Unreadable, "{cursor:?} was not made by the server");
    }
    answer
}

/// The cursor's bytes, some of them changed, cut off or added.
fn edited(cursor: &Cursor, bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut edited = URL_SAFE_NO_PAD.decode(&cursor.0).expect("a genuine cursor is base64");
    while !bytes.is_empty() {
        let at = bytes.below(edited.len().max(1));
        match (bytes.below(4), edited.get_mut(at)) {
            (0, Some(byte)) => *byte = bytes.byte(),
            (1, Some(byte)) => *byte ^= 1 << bytes.below(8),
            (2, _) => edited.insert(at, bytes.byte()),
            _ => edited.truncate(at),
        }
    }
    edited
}

fn is_signed(cursor: &Cursor) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(&cursor.0).unwrap_or_default();
    bytes.split_last_chunk::<SIGNATURE_BYTES>().is_some_and(|(body, _)| signed(body) == *cursor)
}

/// The cursor that holds `body`, with the signature that the server would give it: an HMAC over scope and body, each after its
/// length.
fn signed(body: &[u8]) -> Cursor {
    let mut message = CURSOR_KEY.map(|byte| byte ^ 0x36).to_vec();
    message.extend([0x36; 32]);
    for part in [SCOPE_KEY.as_bytes(), body] {
        message.extend((part.len() as u64).to_be_bytes());
        message.extend(part);
    }
    let mut outer = CURSOR_KEY.map(|byte| byte ^ 0x5c).to_vec();
    outer.extend([0x5c; 32]);
    outer.extend(Sha256::digest(message));
    Cursor(URL_SAFE_NO_PAD.encode([body, &Sha256::digest(outer)[..SIGNATURE_BYTES]].concat()))
}
