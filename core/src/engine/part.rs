//! Parts of the feed: a digest's bucket, read again to be repaired, or the settings, read while nothing else is synced. Where
//! such a part ends is no position of the pull's.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::pull::{Gathered, apply_part, goes_on};
use super::runtime::Engine;
use crate::environment::timeout;
use crate::error::{Error, Result};
use crate::model::{Change, RecordKey, Scope, bucket_of};
use crate::protocol::{ChangesRequest, Trailer};
use crate::queue::{Confirmed, confirm, finish_settled};
use crate::replica::Txn;
use crate::transport::{Chunk, TransportError};

/// What is read.
pub(super) enum Part {
    /// A bucket, to be repaired: all is taken as the server says, whatever is held.
    Bucket {
        /// Which.
        bucket: u8,
        /// The records that the server has named.
        named: BTreeSet<RecordKey>,
    },
    /// The settings, from where the pull has come to.
    Settings,
}

impl Part {
    /// Leaves of a chunk what belongs to the part: a server may send more.
    fn narrow(&mut self, chunk: &mut Chunk) {
        match self {
            Self::Bucket { bucket, named } => {
                chunk.changes.retain(|change| bucket_of(&change.key()) == *bucket);
                named.extend(chunk.changes.iter().map(Change::key));
            }
            Self::Settings => chunk.changes.retain(|change| change.collection.as_str() == crate::settings::SETTINGS),
        }
    }
}

impl Engine {
    /// Reads a part to its end, and takes what it tells. Returns how many changes were news.
    pub(super) async fn read_part(&self, mut request: ChangesRequest, part: &mut Part) -> Result<u64> {
        let mut pulled = 0;
        loop {
            let trailer = self.read_pages(&request, part, &mut pulled).await?;
            if !trailer.more {
                return Ok(pulled);
            }
            goes_on(&request, &trailer)?;
            request.cursor = Some(trailer.cursor);
        }
    }

    /// One request.
    async fn read_pages(&self, request: &ChangesRequest, part: &mut Part, pulled: &mut u64) -> Result<Trailer> {
        let mut feed = self.call(|context| async move { self.transport.changes(&context, request).await }).await?;
        let mut gathered = Gathered::default();
        loop {
            let next = timeout(&*self.environment, self.options.deadline, feed.next()).await;
            let next = next.unwrap_or_else(|| Err(TransportError::Unreachable("the feed stands still".into())))?;
            let Some(mut chunk) = next else {
                return Err(Error::Protocol("the feed ended without a trailer".into()));
            };
            part.narrow(&mut chunk);
            let trailer = chunk.trailer.clone();
            gathered.add(chunk)?;
            if trailer.is_some() || gathered.is_enough() {
                let repairs = matches!(part, Part::Bucket { .. });
                let (scope, chunks) = (request.scope.clone(), Arc::new(gathered.take()));
                *pulled += self
                    .writer()
                    .run(
                        move |txn| {
                            if repairs { repair(txn, &scope, &chunks) } else { apply_part(txn, &scope, &chunks) }
                        },
                    )
                    .await?;
            }
            if let Some(trailer) = trailer {
                return Ok(trailer);
            }
        }
    }
}

/// Takes a part of a bucket as the server says. It may tell of a record again that has changed since an earlier part.
pub(super) fn repair(txn: &mut Txn<'_>, scope: &Scope, chunks: &[Chunk]) -> Result<u64> {
    let generation = txn.scope(scope)?.generation;
    let mut taken = 0;
    for change in chunks.iter().flat_map(|chunk| &chunk.changes) {
        let key = change.key();
        confirm(txn, scope, generation, &key, Confirmed::of(change))?;
        finish_settled(txn, scope, generation, &key, change.revision)?;
        taken += 1;
    }
    Ok(taken)
}
