//! The loopback speaks the protocol as a transport does.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use unisono::SettingsClient;
use unisono::environment::timeout;
use unisono::model::Scope;
use unisono::protocol::{
    ApiKey, ChangesRequest, CreatedApiKey, DigestResponse, KeyPermission, KeyProvider, NewApiKey, Problem, PushRequest,
    StatsResponse, StatusResponse, SyncSwitch,
};
use unisono::storage::MemoryStorage;
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

#[test]
fn a_client_manages_api_keys_and_reads_its_storage() {
    let world = World::new();
    let builder = unisono::Client::builder()
        .storage(MemoryStorage::new())
        .transport(LoopbackTransport::new(world.service.clone(), user("anna")))
        .environment(world.env.clone())
        .account("anna")
        .token("token");
    let settings = world.env.block_on(SettingsClient::open(builder)).unwrap();
    let keys = settings.api_keys();
    let new = |name: &str| NewApiKey {
        name: name.into(),
        provider: KeyProvider::Plugin,
        permissions: vec![KeyPermission::Read],
        expires_at: None,
    };
    world.env.block_on(async {
        let made = keys.create(&new("Sampler")).await.unwrap();
        let id = made.key.key_id.as_str();
        assert!(made.secret.expose_secret().starts_with("unisono_plugin_"));
        assert_eq!(keys.list().await.unwrap(), std::slice::from_ref(&made.key));
        assert_eq!(keys.rename(id, "Old sampler").await.unwrap().name, "Old sampler");
        assert!(!keys.set_active(id, false).await.unwrap().is_active);
        let rotated = keys.rotate(id, Duration::from_secs(60)).await.unwrap();
        assert_ne!(rotated.secret.expose_secret(), made.secret.expose_secret());
        let refused = keys.create(&new("")).await.unwrap_err();
        assert_eq!(refused.code(), "settings_invalid");
        assert!(refused.to_string().contains("/name: allowed is 1 to 100 characters"), "{refused}");
        let refused = keys.rotate(id, Duration::from_secs(1_000_000)).await.unwrap_err();
        assert!(refused.to_string().contains("/overlap_s"), "{refused}");
        assert_eq!(keys.rename("a/b", "x").await.unwrap_err().code(), "api_key_not_found");
        keys.delete(id).await.unwrap();
        assert_eq!(keys.delete(id).await.unwrap_err().code(), "api_key_not_found");
        assert_eq!(keys.list().await.unwrap(), []);

        settings.client().collection("samples").create("kick", json!({"bpm": 120})).await.unwrap();
        settings.client().sync_now().await.unwrap();
        let storage = settings.storage().await.unwrap();
        assert_eq!((storage.stats.storage_used, storage.is_estimate), (11, false));
        settings.client().close().await.unwrap();
    });
}

#[test]
fn a_body_may_be_left_out_where_the_protocol_says_so() {
    let world = World::new();
    let transport = LoopbackTransport::new(world.service.clone(), user("anna"));
    let context = RequestContext::default();
    let ask = |method, path: &str, body: Option<&str>| {
        world.env.block_on(transport.request(&context, method, path, body.map(|body| body.as_bytes().to_vec())))
    };
    let made: CreatedApiKey = read(ask(Method::Post, "/settings/api-keys", Some(r#"{"name": "Sampler"}"#)));
    let key = format!("/settings/api-keys/{}", made.key_id);
    assert!(!read::<ApiKey>(ask(Method::Put, &format!("{key}/toggle"), None)).is_active);
    let _: CreatedApiKey = read(ask(Method::Post, &format!("{key}/rotate"), None));
    assert_eq!(ask(Method::Patch, &key, None).unwrap_err().code(), "invalid_json");
    assert_eq!(ask(Method::Get, &key, None).unwrap_err().code(), "not_found");
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
