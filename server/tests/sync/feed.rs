//! The feed: every change, once, in order, at every page size.

use std::collections::BTreeMap;

use serde_json::json;
use unisono::model::{Change, ChangeKind, DeviceId, Scope, bucket_of};
use unisono::protocol::ChangesRequest;

use crate::world::{Device, World, parse, user};

fn fill(world: &World, device: &mut Device, count: usize) {
    for start in (0..count).step_by(400) {
        let events: Vec<_> = (start..count.min(start + 400))
            .map(|number| device.create(world, &format!("r{number:05}"), json!({"n": number})))
            .collect();
        device.push(world, &events).unwrap();
    }
}

/// Reads everything in pages of `limit`.
fn pages(world: &World, device: &Device, limit: u32) -> Vec<Vec<Change>> {
    let mut request = ChangesRequest { limit: Some(limit), ..ChangesRequest::from_start(Scope::User) };
    let mut pages = Vec::new();
    loop {
        let (chunks, trailer) = world.pull(&device.principal, request.clone()).unwrap();
        pages.push(chunks.into_iter().flat_map(|chunk| chunk.changes).collect::<Vec<_>>());
        request.cursor = Some(trailer.cursor);
        assert_eq!(trailer.more, trailer.digest.is_none(), "a digest stands at the end alone");
        if !trailer.more {
            return pages;
        }
    }
}

#[test]
fn b14_paging_at_every_limit_gives_the_whole_feed() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "a");
    fill(&world, &mut device, 23);
    for number in [3, 7, 11] {
        let event = device.delete(&world, &format!("r{number:05}"), 23);
        device.write(&world, event);
    }
    let event = device.set(&world, "r00000", 26, "/n", 100);
    device.write(&world, event);
    let whole: Vec<_> = pages(&world, &device, 10_000).concat();
    assert_eq!(whole.len(), 20, "a first sync has nothing to delete");
    assert_eq!(whole.last().unwrap().record.as_str(), "r00000", "a record stands at its latest revision");
    assert!(whole.windows(2).all(|pair| pair[0].revision < pair[1].revision));
    for limit in 1..=21 {
        let pages = pages(&world, &device, limit);
        assert!(pages.iter().all(|page| page.len() <= limit as usize));
        assert_eq!(pages.concat(), whole, "limit {limit}");
    }
}

#[test]
fn a_cursor_comes_at_least_every_five_hundred_changes() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "a");
    fill(&world, &mut device, 1_234);
    let (chunks, trailer) = world.pull(&device.principal, ChangesRequest::from_start(Scope::User)).unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.changes.len()).collect::<Vec<_>>(), [500, 500, 234]);
    assert_eq!((trailer.total, trailer.revision, trailer.more), (Some(1_234), 1_234, false));
    assert!(trailer.hlc.is_some());
    // Every cursor line can be committed: the feed goes on from it.
    let request = ChangesRequest { cursor: Some(chunks[0].cursor.clone()), ..ChangesRequest::from_start(Scope::User) };
    let (rest, _) = world.pull(&device.principal, request).unwrap();
    let rest: Vec<_> = rest.into_iter().flat_map(|chunk| chunk.changes).collect();
    assert_eq!(rest.len(), 734);
    assert_eq!(rest[0].revision, 501);
}

#[test]
fn large_documents_make_small_parts() {
    let world = World::new();
    let mut device = Device::new(&user("anna"), "a");
    for number in 0..4 {
        let event = device.create(&world, &format!("r{number}"), json!({"a": "x".repeat(700_000)}));
        device.write(&world, event);
    }
    let (chunks, trailer) = world.pull(&device.principal, ChangesRequest::from_start(Scope::User)).unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.changes.len()).collect::<Vec<_>>(), [2, 2]);
    assert!(!trailer.more);
}

#[test]
fn b13_commit_order_is_revision_order() {
    let world = World::new();
    let anna = user("anna");
    let mut devices: Vec<_> =
        ["a", "b", "c", "d", "e", "f", "g", "h"].map(|id| Device::new(&anna, id)).into_iter().collect();
    let mut puller = Device::new(&anna, "puller");
    let mut seen = BTreeMap::new();
    let mut newest = 0;
    for round in 0..25 {
        let requests: Vec<_> = devices
            .iter_mut()
            .map(|device| {
                let name = format!("{}{round}", device.id);
                let events = [device.create(&world, &name, json!({"n": round})), device.set(&world, &name, 0, "/n", 1)];
                device.request(&world, &events)
            })
            .collect();
        // All eight wait for the writer at once, and a pull goes between them.
        let (pushed, pulled) = world.env.block_on(async {
            let pushes = futures_util::future::join_all(
                requests.iter().map(|request| world.service.push(&anna, parse(request))),
            );
            let pull = async {
                let request =
                    ChangesRequest { cursor: puller.cursor.clone(), ..ChangesRequest::from_start(Scope::User) };
                let mut feed = world.service.changes(&anna, request).await.unwrap();
                let mut chunks = Vec::new();
                while let Some(chunk) = feed.next().await.unwrap() {
                    chunks.push(chunk);
                }
                chunks
            };
            futures_util::future::join(pushes, pull).await
        });
        let mut revisions: Vec<u64> = Vec::new();
        for response in pushed {
            revisions.extend(response.unwrap().receipts.iter().filter_map(|receipt| receipt.revision));
        }
        assert!(
            revisions.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "shared commits keep the order: {revisions:?}"
        );
        puller.cursor = pulled.last().map(|chunk| chunk.cursor.clone());
        for change in pulled.into_iter().flat_map(|chunk| chunk.changes) {
            assert!(change.revision > newest, "nothing comes behind the cursor");
            newest = change.revision;
            seen.insert(change.record.clone(), change);
        }
    }
    for change in puller.pull(&world).unwrap() {
        seen.insert(change.record.clone(), change);
    }
    let all: BTreeMap<_, _> =
        world.records(&anna, Scope::User).into_iter().map(|change| (change.record.clone(), change)).collect();
    assert_eq!(seen.len(), 200);
    assert_eq!(seen, all, "set pulled = set committed (I9)");
    world.assert_sound(&anna);
}

#[test]
fn included_tells_the_asking_devices_last_push() {
    let world = World::new();
    let anna = user("anna");
    let (mut a, mut b) = (Device::new(&anna, "a"), Device::new(&anna, "b"));
    for name in ["x", "y", "z"] {
        let event = a.create(&world, name, json!({}));
        a.write(&world, event);
    }
    let event = b.create(&world, "w", json!({}));
    b.write(&world, event);
    for (device, included) in [(Some("a"), 3), (Some("b"), 1), (Some("stranger"), 0), (None, 0)] {
        let device = device.map(|id| DeviceId::new(id).unwrap());
        let (chunks, trailer) =
            world.pull(&anna, ChangesRequest { device, ..ChangesRequest::from_start(Scope::User) }).unwrap();
        assert_eq!((chunks[0].included, trailer.included), (included, included));
    }
}

#[test]
fn tombstones_of_before_a_first_sync_are_omitted_and_later_ones_are_sent() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    fill(&world, &mut device, 6);
    let event = device.delete(&world, "r00000", 6);
    device.write(&world, event);

    let request = ChangesRequest { limit: Some(2), ..ChangesRequest::from_start(Scope::User) };
    let (first, trailer) = world.pull(&anna, request).unwrap();
    assert!(trailer.more);
    // A record that was sent already is deleted while the first sync goes on.
    let sent = first[0].changes[0].record.clone();
    let event = device.delete(&world, sent.as_str(), 7);
    device.write(&world, event);
    let request = ChangesRequest { cursor: Some(trailer.cursor), ..ChangesRequest::from_start(Scope::User) };
    let (rest, _) = world.pull(&anna, request).unwrap();
    let deleted: Vec<_> = rest
        .iter()
        .flat_map(|chunk| &chunk.changes)
        .filter(|change| change.kind == ChangeKind::Delete)
        .map(|change| change.record.clone())
        .collect();
    assert_eq!(deleted, [sent]);
}

#[test]
fn b16_a_first_sync_tells_a_device_that_its_own_record_was_deleted() {
    let world = World::new();
    let anna = user("anna");
    let (mut early, mut late) = (Device::new(&anna, "early"), Device::new(&anna, "late"));
    fill(&world, &mut early, 3);
    let event = early.delete(&world, "r00001", 3);
    early.write(&world, event);
    // Known to its writer by the receipt alone when another deletes it.
    let event = late.create(&world, "mine", json!({}));
    late.write(&world, event);
    let event = early.delete(&world, "mine", 5);
    early.write(&world, event);
    let told: Vec<_> =
        late.pull(&world).unwrap().into_iter().map(|change| (change.record.to_string(), change.kind)).collect();
    let expected = [("r00000", ChangeKind::Put), ("r00002", ChangeKind::Put), ("mine", ChangeKind::Delete)];
    assert_eq!(told, expected.map(|(name, kind)| (name.to_owned(), kind)));
}

#[test]
fn a_bucket_is_read_alone() {
    let world = World::new();
    let anna = user("anna");
    let mut device = Device::new(&anna, "a");
    fill(&world, &mut device, 600);
    let event = device.delete(&world, "r00001", 600);
    device.write(&world, event);
    let all = world.records(&anna, Scope::User);
    let digest = world.env.block_on(world.service.digest(&anna, Scope::User)).unwrap();
    for bucket in [0, 7, 255] {
        let request = ChangesRequest { bucket: Some(bucket), ..ChangesRequest::from_start(Scope::User) };
        let (chunks, _) = world.pull(&anna, request).unwrap();
        let read: Vec<_> = chunks.into_iter().flat_map(|chunk| chunk.changes).collect();
        let expected: Vec<_> = all.iter().filter(|change| bucket_of(&change.key()) == bucket).cloned().collect();
        assert_eq!(read, expected);
        let mut sum = unisono::model::DigestSum::default();
        for change in &read {
            sum.add(unisono::model::digest_of(&change.key(), change.revision, change.doc.as_ref().unwrap()));
        }
        assert_eq!(digest.buckets[usize::from(bucket)], sum.to_string());
    }
}

#[test]
fn an_empty_scope_has_a_feed_a_digest_and_no_status_epoch() {
    let world = World::new();
    let anna = user("anna");
    let status = world.env.block_on(world.service.status(&anna, None)).unwrap();
    assert_eq!((status.epoch, status.revision, status.account.as_str()), (None, 0, "anna"));
    let (chunks, trailer) = world.pull(&anna, ChangesRequest::from_start(Scope::User)).unwrap();
    assert!(chunks[0].changes.is_empty() && !trailer.more);
    let digest = world.env.block_on(world.service.digest(&anna, Scope::User)).unwrap();
    assert_eq!((digest.revision, digest.total.as_str()), (0, "0".repeat(32).as_str()));
    assert_eq!(digest.buckets.len(), 256);
    assert_eq!(trailer.digest, Some(digest.total));
    assert_eq!(digest.epoch, trailer.epoch);
}

#[test]
fn a_limit_of_zero_and_a_foreign_cursor_are_refused() {
    let world = World::new();
    let anna = user("anna");
    let problem =
        world.pull(&anna, ChangesRequest { limit: Some(0), ..ChangesRequest::from_start(Scope::User) }).unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (400, "invalid_request"));
    let (_, trailer) = world.pull(&user("bert"), ChangesRequest::from_start(Scope::User)).unwrap();
    for cursor in [trailer.cursor.0.as_str(), "", "x", "AAAA"] {
        let request = ChangesRequest {
            cursor: Some(unisono::protocol::Cursor(cursor.to_owned())),
            ..ChangesRequest::from_start(Scope::User)
        };
        let problem = world.pull(&anna, request).unwrap_err();
        assert_eq!((problem.status, problem.code.as_str()), (400, "invalid_cursor"));
    }
}

#[test]
fn a_first_push_to_an_empty_scope_leaves_nothing_to_pull() {
    let world = World::new();
    let anna = user("anna");
    let mut a = Device::new(&anna, "a");
    let event = a.create(&world, "kick", json!({"bpm": 120}));
    assert!(a.push(&world, &[event]).unwrap().cursor.is_some(), "there was nothing to miss");
    assert_eq!(a.pull(&world).unwrap(), []);

    let mut b = Device::new(&anna, "b");
    let event = b.create(&world, "snare", json!({"bpm": 90}));
    assert_eq!(b.push(&world, &[event]).unwrap().cursor, None, "it knows nothing of the first record");
    assert_eq!(b.pull(&world).unwrap().len(), 2);
}
