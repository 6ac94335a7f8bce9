//! Images of a database in memory, so that a simulation can kill the process around it and start another one (feature
//! `testing`).

use rusqlite::MAIN_DB;

use super::connection::store_error;
use super::store::SqliteStore;
use crate::store::StoreError;

impl SqliteStore {
    /// What is committed, in SQLite's file format.
    ///
    /// # Errors
    /// `shutting_down` if the store is closed; what SQLite says.
    pub fn image(&self) -> Result<Vec<u8>, StoreError> {
        self.with_connection(|connection| {
            connection.serialize(MAIN_DB).map(|image| image.to_vec()).map_err(store_error)
        })
    }

    /// A database in memory with the content of `image`.
    ///
    /// # Errors
    /// `storage_corrupt` if it is not an image; what SQLite says.
    pub fn from_image(image: &[u8]) -> Result<Self, StoreError> {
        let store = Self::in_memory()?;
        store.with_connection(|connection| {
            connection.deserialize_read_exact(MAIN_DB, image, image.len(), false).map_err(store_error)
        })?;
        Ok(store)
    }
}
