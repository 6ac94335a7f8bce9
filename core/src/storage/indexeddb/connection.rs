//! Opening the database, and noticing when the browser takes it away.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Object, Reflect, Uint8Array};
use tokio::sync::oneshot;
use wasm_bindgen::prelude::*;
use web_sys::{
    IdbDatabase, IdbFactory, IdbOpenDbRequest, IdbRequest, IdbTransaction, IdbTransactionMode, IdbVersionChangeEvent,
};

use super::error::of_exception;
use super::lock::set;
use super::{rows, transaction};
use crate::storage::{Durability, StorageError, Table};

/// The database's version that this build writes.
pub(super) const SCHEMA: u32 = 1;
/// The object store of what is no row: which replica this is.
pub(super) const CONTROL: &str = "control";
/// The key of the replica's identity in [`CONTROL`].
const IDENTITY: &str = "identity";

#[wasm_bindgen]
extern "C" {
    /// The database, with the call that takes options.
    #[wasm_bindgen(extends = IdbDatabase)]
    #[derive(Clone)]
    type Database;
    #[wasm_bindgen(method, catch, js_name = transaction)]
    fn transaction_with(
        this: &Database,
        stores: &Array,
        mode: IdbTransactionMode,
        options: &Object,
    ) -> Result<IdbTransaction, JsValue>;
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(buffer: &mut [u8]);
}

/// An open database.
pub(super) struct Connection {
    database: Database,
    identity: Vec<u8>,
    /// The browser has closed it, or wants it closed.
    lost: Rc<Cell<bool>>,
    _closed: Closure<dyn FnMut()>,
}

impl Connection {
    /// Opens the database `name`. If there is none, it is made if that is wanted, else `Unavailable`.
    pub(super) async fn open(name: &str, schema: u32, create: bool) -> Result<Self, StorageError> {
        let none = || StorageError::Unavailable(format!("there is no replica {name}"));
        Self::new(open_database(name, schema, create).await.map_err(|error| if_absent(error, none))?).await
    }

    /// Opens the database again whose connection was lost.
    pub(super) async fn open_again(&self, name: &str, schema: u32) -> Result<Self, StorageError> {
        let gone = || StorageError::Corrupt(format!("the browser has removed the data of {name}"));
        let database = open_database(name, schema, false).await.map_err(|error| if_absent(error, gone))?;
        let again = Self::new(database).await?;
        if again.identity == self.identity { Ok(again) } else { Err(gone()) }
    }

    async fn new(database: Database) -> Result<Self, StorageError> {
        let lost = Rc::new(Cell::new(false));
        let (closing, flag) = (database.clone(), Rc::clone(&lost));
        // `close`: the browser has taken it away. `versionchange`: somebody wants to upgrade or delete it, and waits for us.
        let closed = Closure::new(move || {
            flag.set(true);
            closing.close();
        });
        database.set_onclose(Some(closed.as_ref().unchecked_ref()));
        database.set_onversionchange(Some(closed.as_ref().unchecked_ref()));
        let mut connection = Self { database, identity: Vec::new(), lost, _closed: closed };
        let transaction = connection.transaction([CONTROL], Access::Read).map_err(|error| match error {
            StorageError::Io(words) if words.starts_with("NotFoundError") => StorageError::Foreign(words),
            other => other,
        })?;
        let identity = request(store(&transaction, CONTROL)?.get(&IDENTITY.into()))?;
        let read = |results: &[JsValue]| {
            let [identity] = results else { return Err(StorageError::Io("no result".to_owned())) };
            if identity.is_undefined() {
                return Err(StorageError::Foreign("the database has no identity".to_owned()));
            }
            Ok(rows::bytes(identity))
        };
        connection.identity = transaction::run(transaction, vec![identity], read).await?;
        Ok(connection)
    }

    /// Whether the browser has taken it away.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Begins a transaction on some of the object stores.
    pub(super) fn transaction<'s>(
        &self,
        stores: impl IntoIterator<Item = &'s str>,
        access: Access,
    ) -> Result<IdbTransaction, StorageError> {
        let stores: Array = stores.into_iter().map(JsValue::from).collect();
        let options = Object::new();
        let mode = match access {
            Access::Read => IdbTransactionMode::Readonly,
            Access::Write(durability) => {
                let wanted = if durability == Durability::Full { "strict" } else { "relaxed" };
                set(&options, "durability", &wanted.into())?;
                IdbTransactionMode::Readwrite
            }
        };
        self.database.transaction_with(&stores, mode, &options).map_err(|exception| {
            let error = of_exception(&exception);
            if matches!(error, StorageError::Unavailable(_)) {
                self.lost.set(true);
            }
            error
        })
    }

    /// Closes it once the transactions under way have ended.
    pub(super) fn close(&self) {
        self.database.close();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.database.set_onclose(None);
        self.database.set_onversionchange(None);
        self.database.close();
    }
}

/// What a transaction does.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Reads one snapshot.
    Read,
    /// Writes, and survives what the durability says.
    Write(Durability),
}

/// An object store of a transaction.
pub(super) fn store(transaction: &IdbTransaction, name: &str) -> Result<web_sys::IdbObjectStore, StorageError> {
    transaction.object_store(name).map_err(|exception| of_exception(&exception))
}

/// A request, if it could be made.
pub(super) fn request(made: Result<IdbRequest, JsValue>) -> Result<IdbRequest, StorageError> {
    made.map_err(|exception| of_exception(&exception))
}

/// What to say of a database that is not there.
fn if_absent(error: StorageError, absent: impl FnOnce() -> StorageError) -> StorageError {
    match error {
        // What an abandoned creation ends with.
        StorageError::Io(words) if words.starts_with("AbortError") => absent(),
        other => other,
    }
}

fn factory() -> Result<IdbFactory, StorageError> {
    let found = Reflect::get(&js_sys::global(), &"indexedDB".into()).ok().filter(JsValue::is_object);
    found.map(JsCast::unchecked_into).ok_or_else(|| StorageError::Unavailable("there is no IndexedDB here".to_owned()))
}

async fn open_database(name: &str, schema: u32, create: bool) -> Result<Database, StorageError> {
    let factory = factory()?;
    let opening = factory.open_with_u32(name, schema).map_err(|exception| of_exception(&exception))?;
    match opened(opening, name, create).await {
        Err(Refusal::Newer) => {
            let newer = factory.open(name).map_err(|exception| of_exception(&exception))?;
            let database = opened(newer, name, false).await.map_err(|refusal| refusal.into_error(name))?;
            let found = database.version();
            database.close();
            // A float that is out of range saturates.
            #[expect(clippy::cast_possible_truncation)]
            Err(StorageError::NewerSchema { found: found as i64, known: schema.into() })
        }
        result => result.map_err(|refusal| refusal.into_error(name)),
    }
}

/// Why a database was not opened.
enum Refusal {
    /// Its version is beyond ours.
    Newer,
    /// Another connection keeps an older version open.
    Blocked,
    /// Anything else.
    Failed(StorageError),
}

impl Refusal {
    fn into_error(self, name: &str) -> StorageError {
        match self {
            Self::Failed(error) => error,
            Self::Newer => StorageError::Unavailable(format!("the version of {name} has just changed")),
            Self::Blocked => StorageError::Unavailable(format!(
                "another tab keeps an older version of {name} open; it opens once that tab is closed or reloaded"
            )),
        }
    }
}

/// Waits for a database to open, or to say why not. What opens after its caller has been told otherwise is closed.
async fn opened(opening: IdbOpenDbRequest, name: &str, create: bool) -> Result<Database, Refusal> {
    let (tell, told) = oneshot::channel();
    let tell = Rc::new(RefCell::new(Some(tell)));
    let (end, ended) = oneshot::channel();
    let mut end = Some(end);

    let request = opening.clone();
    let upgrade: Closure<dyn FnMut(IdbVersionChangeEvent)> = Closure::new(move |event: IdbVersionChangeEvent| {
        let upgraded = if create { upgrade(&request, &event) } else { Err(JsValue::UNDEFINED) };
        if let (Err(_), Some(transaction)) = (upgraded, request.transaction()) {
            // The opening fails with an AbortError.
            drop(transaction.abort());
        }
    });
    let (request, teller) = (opening.clone(), Rc::clone(&tell));
    let settled: Closure<dyn FnMut(web_sys::Event)> = Closure::new(move |event: web_sys::Event| {
        // An error that is not handled here would be the page's.
        event.prevent_default();
        event.stop_propagation();
        let result = match (request.result(), request.error()) {
            (Ok(database), _) if database.is_object() => Ok(database.unchecked_into::<Database>()),
            (_, Ok(Some(error))) if error.name() == "VersionError" => Err(Refusal::Newer),
            (_, Ok(Some(error))) => Err(Refusal::Failed(of_exception(&error))),
            _ => Err(Refusal::Failed(StorageError::Io("the database did not open".to_owned()))),
        };
        let unheard = match teller.borrow_mut().take() {
            Some(tell) => tell.send(result).err(),
            None => Some(result),
        };
        if let Some(Ok(database)) = unheard {
            database.close();
        }
        if let Some(end) = end.take() {
            let _ = end.send(());
        }
    });
    let blocked: Closure<dyn FnMut()> = Closure::new(move || {
        if let Some(tell) = tell.borrow_mut().take() {
            drop(tell.send(Err(Refusal::Blocked)));
        }
    });
    opening.set_onupgradeneeded(Some(upgrade.as_ref().unchecked_ref()));
    opening.set_onsuccess(Some(settled.as_ref().unchecked_ref()));
    opening.set_onerror(Some(settled.as_ref().unchecked_ref()));
    opening.set_onblocked(Some(blocked.as_ref().unchecked_ref()));
    // The browser calls them until the request is settled, whether anybody waits or not.
    wasm_bindgen_futures::spawn_local(async move {
        drop(ended.await);
        drop((upgrade, settled, blocked));
    });
    let gone = || Refusal::Failed(StorageError::Unavailable(format!("opening {name} was given up")));
    told.await.unwrap_or_else(|_| Err(gone()))
}

/// Brings the database to [`SCHEMA`], within its opening.
fn upgrade(opening: &IdbOpenDbRequest, event: &IdbVersionChangeEvent) -> Result<(), JsValue> {
    let database: IdbDatabase = opening.result()?.unchecked_into();
    if event.old_version() < 1.0 {
        for table in Table::ALL {
            database.create_object_store(table.name())?;
        }
        let control = database.create_object_store(CONTROL)?;
        let mut identity = [0; 16];
        get_random_values(&mut identity);
        control.put_with_key(&Uint8Array::from(&identity[..]), &IDENTITY.into())?;
    }
    Ok(())
}
