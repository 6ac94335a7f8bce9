//! The loopback speaks the protocol as a transport does.

use std::time::Duration;

use serde_json::json;
use unisono::environment::timeout;
use unisono::model::Scope;
use unisono::protocol::{
    ChangesRequest, DigestResponse, Problem, PushRequest, StatsResponse, StatusResponse, SyncSwitch,
};
use unisono::transport::{Method, RequestContext, Transport, TransportError};
use unisono_server::LoopbackTransport;

use crate::world::{Device, World, member, user};

fn request(world: &World, device: &mut Device, name: &str) -> PushRequest {
    let event = device.create(world, name, json!({"gain": -0.5, "big": 18_446_744_073_709_551_615u64}));
    serde_json::from_value(device.request(world, &[event])).unwrap()
}

#[test]
fn a_push_and_a_pull_go_through() {
    let world = World::new();
    let anna = user("anna");
    let transport = LoopbackTransport::new(world.service.clone(), anna.clone());
    let context = RequestContext::default();
    let request = request(&world, &mut Device::new(&anna, "a"), "kick");
    world.env.block_on(async {
        let response = transport.push(&context, &request).await.unwrap();
        assert_eq!(response.receipts[0].revision, Some(1));
        let mut reader = transport.changes(&context, &ChangesRequest::from_start(Scope::User)).await.unwrap();
        let chunk = reader.next().await.unwrap().unwrap();
        assert_eq!(chunk.changes[0].doc, Some(json!({"gain": -0.5, "big": 18_446_744_073_709_551_615u64})));
        assert!(chunk.trailer.is_some());
        assert_eq!(reader.next().await.unwrap(), None);
    });
}

#[test]
fn the_small_requests_are_dispatched_and_others_are_404() {
    let world = World::new();
    let transport = LoopbackTransport::new(world.service.clone(), member("anna", "the band"));
    let context = RequestContext::default();
    let ask = |method, path: &str| world.env.block_on(transport.request(&context, method, path, None));
    let status: StatusResponse = read(ask(Method::Get, "/sync/status"));
    assert_eq!(status.account, "anna");
    let _: StatusResponse = read(ask(Method::Get, "/sync/status?scope=workspace%3Athe%20band"));
    let _: DigestResponse = read(ask(Method::Get, "/sync/digest?scope=user"));
    let _: StatsResponse = read(ask(Method::Get, "/sync/stats?scope=user"));
    assert!(!read::<SyncSwitch>(ask(Method::Post, "/sync/disable")).enabled);
    assert!(read::<SyncSwitch>(ask(Method::Post, "/sync/enable")).enabled);
    assert!(read::<SyncSwitch>(ask(Method::Post, "/sync/now")).enabled);
    for (method, path, code) in [
        (Method::Get, "/sync/now", "not_found"),
        (Method::Get, "/settings/profile", "not_found"),
        (Method::Get, "/sync/digest", "invalid_query"),
        (Method::Get, "/sync/digest?scope=moon", "invalid_query"),
        (Method::Get, "/sync/digest?scope=workspace:moon", "scope_not_found"),
        (Method::Get, "/sync/values?scope=user&note=n&sha256=00", "value_not_found"),
    ] {
        assert_eq!(ask(method, path).unwrap_err().code(), code, "{path}");
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: Result<unisono::transport::Response, TransportError>) -> T {
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn the_resolver_decides_whose_a_request_is() {
    let world = World::new();
    let transport = LoopbackTransport::with_resolver(world.service.clone(), |context| match &context.token {
        Some(_) => Ok(user("anna")),
        None => Err(Problem::new(401, "auth_required", "no token")),
    });
    let mut context = RequestContext::default();
    let ask =
        |context: &RequestContext| world.env.block_on(transport.request(context, Method::Get, "/sync/status", None));
    assert_eq!(ask(&context).unwrap_err().code(), "auth_required");
    context.token = Some("secret".into());
    ask(&context).unwrap();
}

#[test]
fn b20_a_listener_hears_of_every_scope_that_moved_and_of_sync_now() {
    let world = World::new();
    let anna = member("anna", "band");
    let transport = LoopbackTransport::new(world.service.clone(), anna.clone());
    let context = RequestContext::default();
    let mut device = Device::new(&anna, "a");
    let requests: Vec<_> = ["x", "y"].map(|name| request(&world, &mut device, name)).into();
    let mut band = Device { scope: "workspace:band", ..Device::new(&anna, "a") };
    let shared = request(&world, &mut band, "z");
    world.env.block_on(async {
        let mut live = transport.live(&context).await.unwrap().unwrap();
        for request in requests.iter().chain([&shared]) {
            transport.push(&context, request).await.unwrap();
        }
        // Two pushes that nobody had heard of yet are one hint.
        let mut heard = vec![live.next().await.unwrap().unwrap().scope, live.next().await.unwrap().unwrap().scope];
        heard.sort_by_key(ToString::to_string);
        assert_eq!(heard, [Scope::User, Scope::workspace("band").unwrap()]);
        let quiet = timeout(&world.env, Duration::from_secs(60), live.next()).await;
        assert!(quiet.is_none(), "nothing moved");

        transport.push(&context, &requests[1]).await.unwrap();
        assert!(timeout(&world.env, Duration::from_secs(60), live.next()).await.is_none(), "a replay moves nothing");

        assert_eq!(world.service.sync_now(&anna).await.unwrap().notified, 1);
        assert!(live.next().await.unwrap().is_some());
        drop(live);
        assert_eq!(world.service.sync_now(&anna).await.unwrap().notified, 0);
    });
}

#[test]
fn a_closed_service_says_so() {
    let world = World::new();
    let anna = user("anna");
    let transport = LoopbackTransport::new(world.service.clone(), anna.clone());
    let context = RequestContext::default();
    let push = request(&world, &mut Device::new(&anna, "a"), "kick");
    world.env.block_on(async {
        let mut live = transport.live(&context).await.unwrap().unwrap();
        world.service.close().await;
        world.service.close().await;
        assert!(live.next().await.unwrap().is_none());
        let error = transport.push(&context, &push).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("shutting_down", true));
        assert_eq!(world.service.ready().await.unwrap_err().status, 503);
    });
}
