//! The unit of the seam: work that runs inside one transaction of a storage.

use std::sync::Arc;

use super::{Batch, Row, RowKey, Scan, Storage, StorageError};
use crate::platform::MaybeSend;
use crate::platform::sync::{Mutex, lock};

/// The rows that a transaction sees: as they were when it began, without what its own work is about to write.
pub trait Rows {
    /// The rows of `keys`, in their order; `None` where there is none.
    ///
    /// # Errors
    /// `NotLoaded` where the storage has to fetch them first: the work ends with it and is run again. Those of the medium.
    fn get(&mut self, keys: &[RowKey]) -> Result<Vec<Option<Row>>, StorageError>;

    /// The rows of `scan`, in key order (bytewise), or from the end if reversed.
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    fn scan(&mut self, scan: &Scan) -> Result<Vec<Row>, StorageError>;
}

/// A unit of work: it reads rows and says what to write. A plain function, so that a storage can run it wherever its transaction
/// lives: on the thread of a connection, in the callback of a browser.
pub trait Work: MaybeSend {
    /// Does the work on `rows`. It may be run several times, each time from the start and on a new transaction or on one that
    /// has fetched more: only what the last run returns is written.
    ///
    /// # Errors
    /// The transaction then ends without a trace, and its caller hears the error. An error of `rows` is passed on as it is.
    fn run(&mut self, rows: &mut dyn Rows) -> Result<Batch, StorageError>;
}

impl<F> Work for F
where
    F: FnMut(&mut dyn Rows) -> Result<Batch, StorageError> + MaybeSend,
{
    fn run(&mut self, rows: &mut dyn Rows) -> Result<Batch, StorageError> {
        self(rows)
    }
}

/// Runs `work` in one transaction of `storage`, and returns what its last run has told beside its batch.
///
/// # Errors
/// The storage's, and those of `work`.
pub async fn transact<T, F>(storage: &dyn Storage, mut work: F) -> Result<T, StorageError>
where
    T: MaybeSend + 'static,
    F: FnMut(&mut dyn Rows) -> Result<(T, Batch), StorageError> + MaybeSend + 'static,
{
    let told = Arc::new(Mutex::new(None));
    let telling = told.clone();
    let run = move |rows: &mut dyn Rows| {
        let (tells, batch) = work(rows)?;
        *lock(&telling) = Some(tells);
        Ok(batch)
    };
    storage.transact(Box::new(run)).await?;
    let told = lock(&told).take();
    told.ok_or_else(|| StorageError::Io("a transaction has ended without its work".into()))
}
