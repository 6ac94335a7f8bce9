//! Fifty clients at once, each pushing one event after the other to a durable server.
//!
//! The events go through the HTTP transport itself, not through fifty replicas on the same disk: what is measured is the
//! server.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use unisono::clock::Stamp;
use unisono::model::{CollectionName, DeviceId, EventId, Mode, RecordId, Scope, SyncAction, SyncEvent};
use unisono::protocol::PushRequest;
use unisono::transport::{HttpTransport, Method, RequestContext, Transport};
use unisono::{Environment, TokioEnvironment};

use crate::documents::{Document, documents};
use crate::measure::{Measured, Options, Result, Target, per_second};
use crate::place::Place;

const CLIENTS: usize = 50;

pub async fn run(place: &Place, options: Options) -> Result<Vec<Measured>> {
    let documents = Arc::new(documents(options.amount(400))?);
    let mut measured = Measured::new(format!("{CLIENTS} clients, single pushes"), "events/s", Target::None);
    let backend = place.server().await?;
    for round in 0..options.rounds {
        let start = Arc::new(Barrier::new(CLIENTS + 1));
        let mut crowd = JoinSet::new();
        for number in 0..CLIENTS {
            let account = format!("crowd-{round}-{number}");
            let token = backend.token(&account).await?;
            let pusher = Pusher::connect(backend.url(), account, token).await?;
            crowd.spawn(pusher.push_all(Arc::clone(&documents), Arc::clone(&start)));
        }
        start.wait().await;
        let began = Instant::now();
        while let Some(done) = crowd.join_next().await {
            done??;
        }
        measured.samples.push(per_second(CLIENTS * documents.len(), began.elapsed()));
    }
    Ok(vec![measured])
}

struct Pusher {
    transport: HttpTransport,
    context: RequestContext,
    account: String,
    device: DeviceId,
}

impl Pusher {
    async fn connect(url: &str, account: String, token: String) -> Result<Self> {
        let transport = HttpTransport::new(url)?;
        let context = RequestContext { token: Some(token.into()), deadline: None };
        transport.request(&context, Method::Get, "/sync/status", None).await?;
        Ok(Self { transport, context, account, device: DeviceId::generate(&TokioEnvironment) })
    }

    /// Waits for all others, then pushes each document as one event in one request.
    async fn push_all(self, documents: Arc<Vec<Document>>, start: Arc<Barrier>) -> Result<()> {
        start.wait().await;
        for (number, document) in documents.iter().enumerate() {
            let request = self.request(number as u64 + 1, document)?;
            let response = self.transport.push(&self.context, &request).await?;
            match response.receipts.first() {
                Some(receipt) if receipt.status.is_settled() => {}
                other => return Err(format!("an event was not applied: {other:?}").into()),
            }
        }
        Ok(())
    }

    fn request(&self, push_seq: u64, document: &Document) -> Result<PushRequest> {
        let now = TokioEnvironment.now_ms();
        let event = SyncEvent {
            id: EventId::generate(&TokioEnvironment),
            collection: CollectionName::new("samples")?,
            record: RecordId::new(&document.id)?,
            action: SyncAction::Create,
            doc: Some(document.doc.clone()),
            ops: Vec::new(),
            base: 0,
            stamp: Stamp { ms: now, counter: 0, device: self.device.clone() },
            group: None,
            depends_on: Vec::new(),
            needs: Vec::new(),
            schema: 1,
            mode: Mode::Merge,
            policy: None,
        };
        Ok(PushRequest {
            scope: Scope::User,
            account: self.account.clone(),
            epoch: None,
            device_id: self.device.clone(),
            push_seq,
            cursor: None,
            seen: None,
            device_now: now,
            events: vec![event],
        })
    }
}
