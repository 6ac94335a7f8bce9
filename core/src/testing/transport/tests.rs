use super::*;
use crate::Environment;
use crate::model::DeviceId;
use crate::protocol::{Cursor, Problem, Trailer};
use crate::testing::TestEnvironment;

/// Answers every push, and a feed of three chunks; its live channel never says anything.
#[derive(Debug, Default)]
struct Willing {
    pushes: Mutex<Vec<u64>>,
}

struct ThreeChunks(u8);
struct Silence;

impl Transport for Willing {
    fn push<'a>(
        &'a self,
        _: &'a RequestContext,
        request: &'a PushRequest,
    ) -> BoxFuture<'a, Result<PushResponse, TransportError>> {
        Box::pin(async {
            self.pushes.lock().unwrap().push(request.push_seq);
            Ok(PushResponse {
                server_now: 0,
                server_id: "s".to_owned(),
                epoch: "e".to_owned(),
                cursor: None,
                head: Cursor("h".to_owned()),
                previous_push_seq: None,
                receipts: Vec::new(),
            })
        })
    }

    fn changes<'a>(
        &'a self,
        _: &'a RequestContext,
        _: &'a ChangesRequest,
    ) -> BoxFuture<'a, Result<Box<dyn ChangeReader>, TransportError>> {
        Box::pin(async { Ok(Box::new(ThreeChunks(3)) as Box<dyn ChangeReader>) })
    }

    fn request<'a>(
        &'a self,
        _: &'a RequestContext,
        _: Method,
        _: &'a str,
        body: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Response, TransportError>> {
        Box::pin(async { Ok(Response { status: 200, body: body.unwrap_or_default(), etag: None }) })
    }

    fn live<'a>(&'a self, _: &'a RequestContext) -> BoxFuture<'a, Result<Option<Box<dyn LiveReader>>, TransportError>> {
        Box::pin(async { Ok(Some(Box::new(Silence) as Box<dyn LiveReader>)) })
    }
}

impl ChangeReader for ThreeChunks {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Chunk>, TransportError>> {
        Box::pin(async {
            let Some(left) = self.0.checked_sub(1) else { return Ok(None) };
            self.0 = left;
            let cursor = Cursor(left.to_string());
            let trailer = (left == 0).then(|| Trailer {
                cursor: cursor.clone(),
                more: false,
                revision: 0,
                epoch: "e".to_owned(),
                included: 0,
                hlc: None,
                backup_revision: 0,
                server_now: 0,
                server_id: "s".to_owned(),
                total: None,
                digest: None,
            });
            Ok(Some(Chunk { changes: Vec::new(), cursor, included: 0, trailer }))
        })
    }
}

impl LiveReader for Silence {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<LiveHint>, TransportError>> {
        Box::pin(std::future::pending())
    }
}

fn push_request(push_seq: u64) -> PushRequest {
    PushRequest {
        scope: Scope::User,
        account: "alice".to_owned(),
        epoch: None,
        device_id: DeviceId::new("d").unwrap(),
        push_seq,
        cursor: None,
        seen: None,
        device_now: 0,
        events: Vec::new(),
    }
}

fn changes_request() -> ChangesRequest {
    ChangesRequest::from_start(Scope::User)
}

fn setup() -> (TestEnvironment, ScriptedTransport<Willing>) {
    let env = TestEnvironment::new(1);
    let transport = ScriptedTransport::new(Willing::default(), env.shared());
    (env, transport)
}

#[test]
fn each_push_meets_the_next_fault_and_the_server_acts_only_where_it_was_reached() {
    let (env, transport) = setup();
    transport.script(
        CallKind::Push,
        [
            Fault::drop_request(),
            Fault::drop_response(),
            Fault::status(500),
            Fault::act_and_answer(Problem::new(504, "gateway", "")),
            Fault::too_many_requests(9),
            Fault::garble(),
        ],
    );
    let context = RequestContext::default();
    let codes: Vec<String> = (1..=7)
        .map(|seq| match env.block_on(transport.push(&context, &push_request(seq))) {
            Ok(_) => "ok".to_owned(),
            Err(error) => {
                assert!(error.code() != "rate_limited" || error.retry_after() == Some(Duration::from_secs(9)));
                error.code().to_owned()
            }
        })
        .collect();
    let expected = ["unreachable", "unreachable", "http_500", "gateway", "rate_limited", "malformed_answer", "ok"];
    assert_eq!(codes, expected);
    assert_eq!(*transport.inner().pushes.lock().unwrap(), [2, 4, 6, 7]);
    assert_eq!(transport.pushes().iter().map(|push| push.push_seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((transport.unmet_faults(), transport.pushes_in_flight(&Scope::User)), (0, 0));
    assert_eq!(transport.most_pushes_in_flight(&Scope::User), 1);
}

#[test]
fn a_cut_feed_gives_so_many_chunks_and_breaks() {
    let (env, transport) = setup();
    transport.script(CallKind::Changes, [Fault::cut_feed(2)]);
    env.block_on(async {
        let context = RequestContext::default();
        let mut reader = transport.changes(&context, &changes_request()).await.unwrap();
        assert!(reader.next().await.unwrap().is_some());
        assert!(reader.next().await.unwrap().is_some());
        assert_eq!(reader.next().await.unwrap_err().code(), "unreachable");

        let mut reader = transport.changes(&context, &changes_request()).await.unwrap();
        let mut chunks = 0;
        while let Some(chunk) = reader.next().await.unwrap() {
            chunks += 1;
            assert_eq!(chunk.trailer.is_some(), chunks == 3);
        }
        assert_eq!(chunks, 3);
    });
}

#[test]
fn delays_and_deadlines_pass_in_virtual_time() {
    let (env, transport) = setup();
    let second = Duration::from_secs(1);
    let slow = Fault::none().request_delayed(second * 2).response_delayed(second * 3);
    transport.script(CallKind::Request, [slow.clone(), slow, Fault::hang()]);
    let patient = RequestContext::default();
    let hasty = RequestContext { deadline: Some(second * 4), ..RequestContext::default() };
    let ask = |context| env.block_on(transport.request(context, Method::Put, "/x", Some(vec![1])));
    assert_eq!(ask(&patient).unwrap().body, [1]);
    assert_eq!(env.monotonic(), second * 5);
    assert_eq!(ask(&hasty).unwrap_err(), TransportError::Unreachable("the deadline passed".to_owned()));
    assert_eq!(env.monotonic(), second * 9);
    assert_eq!(ask(&hasty).unwrap_err().code(), "unreachable");
    let at: Vec<Duration> = transport.calls().iter().map(|call| call.at).collect();
    assert_eq!(at, [Duration::ZERO, second * 5, second * 9]);
}

#[test]
fn going_offline_breaks_what_is_under_way_and_refuses_the_rest_until_told() {
    let (env, transport) = setup();
    transport.script(CallKind::Push, [Fault::hang(), Fault::status(401)]);
    let context = RequestContext::default();
    env.block_on(async {
        let mut live = transport.live(&context).await.unwrap().unwrap();
        let mut feed = transport.changes(&context, &changes_request()).await.unwrap();
        let request = push_request(1);
        let push = transport.push(&context, &request);
        let outage = async {
            env.sleep(Duration::from_secs(1)).await;
            assert_eq!(transport.pushes_in_flight(&Scope::User), 1);
            // Back before anyone could look: broken all the same.
            transport.set_online(false);
            transport.set_online(true);
        };
        let ((pushed, hint), ()) =
            futures_util::future::join(futures_util::future::join(push, live.next()), outage).await;
        assert_eq!((pushed.unwrap_err(), hint.unwrap_err()), (offline(), offline()));
        assert_eq!(feed.next().await.unwrap_err(), offline());

        transport.set_online(false);
        assert_eq!(transport.push(&context, &request).await.unwrap_err(), offline());
        assert_eq!(transport.unmet_faults(), 1);
        transport.set_online(true);
        assert_eq!(transport.push(&context, &request).await.unwrap_err().code(), "http_401");
    });
    assert!(transport.inner().pushes.lock().unwrap().is_empty());
    assert_eq!((transport.count(CallKind::Push), transport.count(CallKind::Live)), (3, 1));
}
