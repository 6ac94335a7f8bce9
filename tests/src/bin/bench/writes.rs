//! Local writes: durable when they return, beside raw SQLite at the same level.

use std::path::Path;
use std::time::{Duration, Instant};

use unisono::Client;
use unisono::storage::{Durability, SqliteStorage};

use crate::baseline;
use crate::documents::{Document, documents};
use crate::measure::{Measured, Options, Result, Target, per_second};
use crate::place::Place;

const GROUP: usize = 100;

/// One write after the other.
pub async fn single(place: &Place, options: Options, durability: Durability) -> Result<Vec<Measured>> {
    let (name, count, target) = match durability {
        Durability::Full => ("single writes, full", 3_000, Target::RatioAtLeast(0.6)),
        Durability::Normal => ("single writes, normal", 20_000, Target::None),
    };
    let documents = documents(options.amount(count))?;
    let mut measured = Measured::new(name, "writes/s", target);
    for _ in 0..options.rounds {
        let took = baseline::write(&place.fresh("raw"), durability, &documents, 1)?;
        measured.baseline.push(per_second(documents.len(), took));
        let took = one_by_one(&place.fresh("replica"), durability, &documents).await?;
        measured.samples.push(per_second(documents.len(), took));
    }
    Ok(vec![measured])
}

/// Transactions of 100.
pub async fn groups(place: &Place, options: Options) -> Result<Vec<Measured>> {
    let documents = documents(options.amount(50_000))?;
    let mut measured = Measured::new("writes in groups of 100, full", "docs/s", Target::AtLeast(60_000.0));
    for _ in 0..options.rounds {
        let took = baseline::write(&place.fresh("raw"), Durability::Full, &documents, GROUP)?;
        measured.baseline.push(per_second(documents.len(), took));
        let took = in_groups(&place.fresh("replica"), &documents).await?;
        measured.samples.push(per_second(documents.len(), took));
    }
    Ok(vec![measured])
}

async fn open(path: &Path, durability: Durability) -> Result<Client> {
    let storage = SqliteStorage::options().durability(durability).open(path)?;
    Ok(Client::builder().storage(storage).account("alice").build().await?)
}

async fn one_by_one(path: &Path, durability: Durability, documents: &[Document]) -> Result<Duration> {
    let client = open(path, durability).await?;
    let samples = client.collection("samples");
    let began = Instant::now();
    for Document { id, doc } in documents {
        samples.create(id, doc.clone()).await?;
    }
    let took = began.elapsed();
    client.close().await?;
    Ok(took)
}

async fn in_groups(path: &Path, documents: &[Document]) -> Result<Duration> {
    let client = open(path, Durability::Full).await?;
    let samples = client.collection("samples");
    let began = Instant::now();
    for some in documents.chunks(GROUP) {
        let group = client.transaction();
        let group = some.iter().fold(group, |group, Document { id, doc }| group.create(&samples, id, doc.clone()));
        group.commit().await?;
    }
    let took = began.elapsed();
    client.close().await?;
    Ok(took)
}
