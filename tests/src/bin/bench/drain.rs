//! Draining a long offline queue to a durable server in a process of its own.

use std::time::Instant;

use futures_util::future::try_join_all;
use unisono::Client;

use crate::documents::{Document, documents};
use crate::measure::{Measured, Options, Result, Target};
use crate::place::Place;

/// Creates under way together while the queue is filled, which is not measured.
const FILLED_TOGETHER: usize = 500;

pub async fn run(place: &Place, options: Options) -> Result<Vec<Measured>> {
    let documents = documents(options.amount(10_000))?;
    let target = if options.quick { Target::None } else { Target::AtMost(0.5) };
    let mut measured = Measured::new(format!("drain of {} queued creates", documents.len()), "s", target);
    let backend = place.server().await?;
    for round in 0..options.rounds {
        // An account of its own: an empty scope in each round.
        let client = backend.client(&format!("drain-{round}"), &place.fresh("replica")).await?;
        fill(&client, &documents).await?;
        let began = Instant::now();
        let report = client.sync_now().await?;
        measured.samples.push(began.elapsed().as_secs_f64());
        if report.pushed != documents.len() as u64 || client.status().pending != 0 {
            return Err(format!("the queue is not drained: {report:?}").into());
        }
        client.close().await?;
    }
    Ok(vec![measured])
}

/// Queues a create for each document.
pub async fn fill(client: &Client, documents: &[Document]) -> Result<()> {
    let samples = client.collection("samples");
    for some in documents.chunks(FILLED_TOGETHER) {
        try_join_all(some.iter().map(|Document { id, doc }| samples.create(id, doc.clone()))).await?;
    }
    Ok(())
}
