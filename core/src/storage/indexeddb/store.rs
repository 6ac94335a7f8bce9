//! [`IndexedDbStorage`]: the state of one replica's storage, and the [`Storage`] methods.

use std::cell::{Ref, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::connection::{Connection, SCHEMA};
use super::lock::ReplicaLock;
use super::{read, transact};
use crate::platform::BoxFuture;
use crate::storage::{Durability, Row, RowKey, Scan, Storage, StorageError, Work};

/// Options of an [`IndexedDbStorage`].
#[derive(Clone, Debug)]
pub struct IndexedDbOptions {
    durability: Durability,
    wait: Option<Duration>,
    create: bool,
    schema: u32,
}

impl Default for IndexedDbOptions {
    fn default() -> Self {
        Self { durability: Durability::Full, wait: Some(Duration::ZERO), create: true, schema: SCHEMA }
    }
}

impl IndexedDbOptions {
    /// What an acknowledged write survives; [`Durability::Full`] unless set. `Normal` leaves the moment of flushing to the
    /// browser.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long to wait while another client has the replica open, in this page or in another tab; not at all unless set,
    /// until it is free if `None`.
    #[must_use]
    pub fn wait(mut self, wait: Option<Duration>) -> Self {
        self.wait = wait;
        self
    }

    /// Makes no replica where there is none.
    pub(super) fn existing(mut self) -> Self {
        self.create = false;
        self
    }

    /// As a build would whose database has version `schema`: to test what two versions do to each other.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn schema(mut self, schema: u32) -> Self {
        self.schema = schema;
        self
    }

    /// Opens the replica `name`; makes it if there is none.
    ///
    /// # Errors
    /// `AlreadyOpen` if another client has it open for longer than this one waits; `NewerSchema`; `Foreign` if the database is no
    /// replica; `Unavailable` where there is no IndexedDB, or while another tab keeps an older version open.
    pub async fn open(self, name: &str) -> Result<IndexedDbStorage, StorageError> {
        let storage = IndexedDbStorage {
            name: format!("unisono/{name}"),
            options: self,
            state: RefCell::new(State::Suspended),
            turn: Mutex::new(()),
        };
        storage.take_up().await?;
        Ok(storage)
    }
}

/// Keeps a replica in a browser's IndexedDB, one database for each.
///
/// # Limits
/// The browser's quota, and its right to remove an origin's data unless the page has asked for persistent storage
/// (`navigator.storage.persist()`).
pub struct IndexedDbStorage {
    name: String,
    options: IndexedDbOptions,
    state: RefCell<State>,
    /// Held by whoever changes the state across an `await`.
    turn: Mutex<()>,
}

impl fmt::Debug for IndexedDbStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexedDbStorage({:?})", self.name)
    }
}

enum State {
    Open(Rc<Connection>, ReplicaLock),
    Suspended,
    /// Its data was taken away; with what every call says.
    Gone(StorageError, ReplicaLock),
    Closed,
}

impl IndexedDbStorage {
    /// Opens the replica `name` with default options.
    ///
    /// # Errors
    /// Those of [`IndexedDbOptions::open`].
    pub async fn open(name: &str) -> Result<Self, StorageError> {
        IndexedDbOptions::default().open(name).await
    }

    /// From suspended to open.
    async fn take_up(&self) -> Result<(), StorageError> {
        let lock = ReplicaLock::take(&self.name, self.options.wait).await?;
        match Connection::open(&self.name, self.options.schema, self.options.create).await {
            Ok(connection) => {
                *self.state.borrow_mut() = State::Open(Rc::new(connection), lock);
                Ok(())
            }
            Err(error) => {
                lock.release().await;
                Err(error)
            }
        }
    }

    /// The connection, without waiting if it is there: calls made one after the other begin their transactions in that
    /// order.
    pub(super) async fn connection(&self) -> Result<Rc<Connection>, StorageError> {
        if let Some(connection) = self.present()? {
            return Ok(connection);
        }
        let _turn = self.turn.lock().await;
        // Another call may have done it meanwhile.
        if let Some(connection) = self.present()? {
            return Ok(connection);
        }
        let Some(lost) = self.lost() else { return Err(StorageError::Suspended) };
        let again = lost.open_again(&self.name, self.options.schema).await;
        // Nobody else has changed the state: this call has the turn.
        let State::Open(_, lock) = self.state.replace(State::Suspended) else { return Err(StorageError::Suspended) };
        let (next, result) = match again {
            Ok(again) => {
                let again = Rc::new(again);
                (State::Open(Rc::clone(&again), lock), Ok(again))
            }
            Err(gone @ StorageError::Corrupt(_)) => (State::Gone(gone.clone(), lock), Err(gone)),
            // It stays lost, and the next call tries again.
            Err(error) => (State::Open(lost, lock), Err(error)),
        };
        *self.state.borrow_mut() = next;
        result
    }

    /// The connection if it can be used, nothing if it was lost.
    fn present(&self) -> Result<Option<Rc<Connection>>, StorageError> {
        match &*self.state.borrow() {
            State::Open(connection, _) if connection.is_lost() => Ok(None),
            State::Open(connection, _) => Ok(Some(Rc::clone(connection))),
            State::Suspended => Err(StorageError::Suspended),
            State::Gone(error, _) => Err(error.clone()),
            State::Closed => Err(StorageError::Closed("")),
        }
    }

    fn lost(&self) -> Option<Rc<Connection>> {
        Ref::filter_map(self.state.borrow(), |state| match state {
            State::Open(connection, _) => Some(connection),
            _ => None,
        })
        .ok()
        .map(|connection| Rc::clone(&connection))
    }

    fn not_closed(&self) -> Result<(), StorageError> {
        if matches!(&*self.state.borrow(), State::Closed) { Err(StorageError::Closed("")) } else { Ok(()) }
    }

    /// Gives connection and lock back; what was being written is finished by the browser.
    async fn give_up(&self, next: State) {
        let lock = match self.state.replace(next) {
            State::Open(connection, lock) => {
                connection.close();
                lock
            }
            State::Gone(_, lock) => lock,
            State::Suspended | State::Closed => return,
        };
        lock.release().await;
    }
}

impl Storage for IndexedDbStorage {
    fn get(&self, keys: Vec<RowKey>) -> BoxFuture<'_, Result<Vec<Option<Row>>, StorageError>> {
        Box::pin(async move { read::get(self.connection().await?, keys).await })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<Row>, StorageError>> {
        Box::pin(async move { read::scan(self.connection().await?, scan).await })
    }

    fn transact(&self, work: Box<dyn Work>) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move { transact::transact(self.connection().await?, work, self.options.durability).await })
    }

    fn suspend(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            self.not_closed()?;
            if let State::Gone(error, _) = &*self.state.borrow() {
                return Err(error.clone());
            }
            self.give_up(State::Suspended).await;
            Ok(())
        })
    }

    fn resume(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            self.not_closed()?;
            let suspended = matches!(&*self.state.borrow(), State::Suspended);
            if suspended { self.take_up().await } else { Ok(()) }
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            self.give_up(State::Closed).await;
            Ok(())
        })
    }
}
