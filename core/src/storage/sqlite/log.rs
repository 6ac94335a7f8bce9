//! The write-ahead log of an open replica: when it moves into the file, and the [mark](super::mark) of how far it has come.
//!
//! SQLite's own rule, a number of pages after which a commit moves the log, cannot tell a small replica on a small disk from a
//! large one, and it does not flush the mark first.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::checksum;
use super::error::{of_file, typed};
use super::frames::{FRAME, FRAME_HEADER, LOG_HEADER, LogName, PAGE, number_at};
use super::inspect::length;
use super::lock::{ReplicaLock, sibling};
use super::mark::Mark;
use super::sql::unsigned;
use crate::storage::StorageError;

/// The log of a small replica grows to this size at least, in bytes.
const LEAST_BYTES: u64 = 256 << 10;
/// On a disk that was full, to this one.
const CRAMPED_BYTES: u64 = 64 << 10;
/// A larger log could never start anew because somebody was always reading; readers are held back once, then.
pub(super) const LOG_MAX_BYTES: u64 = 32 << 20;

/// What is known of the log from outside.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// Opened when SQLite has made it.
    file: Option<File>,
    /// Where the mark stands.
    beside: File,
    mark: Mark,
    mark_is_durable: bool,
    /// Pages of the database after the last commit.
    pages: u32,
    /// How large it may grow however large the replica is, in bytes.
    most: u64,
    /// A disk was full.
    cramped: bool,
    /// Frames at which it moves into the file.
    due: u32,
}

impl Log {
    /// The log of the replica at `path`, which `connection` has just opened, with what its last owner has left in it.
    ///
    /// # Errors
    /// `storage_full`, `storage_unavailable`, `storage_io`: the mark cannot be written.
    pub(super) fn open(
        path: &Path,
        lock: &ReplicaLock,
        connection: &Connection,
        most: u64,
    ) -> Result<Self, StorageError> {
        let beside = lock.file().map_err(|error| of_file(&error, &sibling(path, ".lock")))?;
        let had_mark = Mark::read(&beside).is_some();
        let mut log = Self {
            path: sibling(path, "-wal"),
            file: None,
            beside,
            mark: Mark::default(),
            mark_is_durable: false,
            pages: 0,
            most,
            cramped: false,
            due: 0,
        };
        log.due = log.limit();
        // All of it: whoever opens a log flushes it.
        let left = if length(&log.path) == 0 { Ok(()) } else { log.note(connection, true) };
        match left.and_then(|()| log.flush_mark()) {
            // A disk without room for a first mark can be read all the same. A mark that stands there has its room.
            Err(error) if had_mark || !is_full(&error) => return Err(error),
            _ => {}
        }
        log.keep(connection);
        Ok(log)
    }

    /// Notes what `connection` has committed, and whether that was flushed; moves the log into the file when it is time.
    pub(super) fn committed(&mut self, connection: &Connection, flushed: bool) {
        if let Err(error) = self.note(connection, flushed) {
            tracing::warn!(%error, "the mark of the write-ahead log could not be written");
        }
        if self.mark.frames >= self.due {
            self.due = self.mark.frames.saturating_add((self.limit() / 4).max(1));
            if let Err(error) = self.checkpoint(connection, "PASSIVE") {
                self.cramped |= is_full(&error);
                tracing::warn!(%error, "the write-ahead log could not be moved into the file");
            }
            self.keep(connection);
        }
    }

    /// Whether it needs to be emptied while nobody reads.
    pub(super) fn is_overgrown(&self) -> bool {
        u64::from(self.mark.frames) * FRAME as u64 > LOG_MAX_BYTES
    }

    /// Moves all of the log into the file and empties it, if no other program reads. Says whether it is empty.
    ///
    /// # Errors
    /// `storage_full` and others: then all of it is where it was.
    pub(super) fn empty(&mut self, connection: &Connection) -> Result<bool, StorageError> {
        self.checkpoint(connection, "TRUNCATE")?;
        Ok(length(&self.path) == 0)
    }

    /// Empties the log of a full disk. Says whether that has made room.
    pub(super) fn make_room(&mut self, connection: &Connection) -> bool {
        self.cramped = true;
        if length(&self.path) == 0 {
            return false;
        }
        let mut emptied = self.empty(connection);
        if emptied.as_ref().is_err_and(is_full) && self.cut_off_unused().is_ok() {
            emptied = self.empty(connection);
        }
        self.keep(connection);
        emptied.unwrap_or_else(|error| {
            tracing::warn!(%error, "the disk is full, and the write-ahead log cannot make room");
            false
        })
    }

    /// All is in the file: what the next opening needs to know.
    pub(super) fn settle(&self) {
        // The mark that stands there would do too.
        drop(Mark::default().write(&self.beside));
    }

    /// What lies behind the last commit is of an older log, or of a commit that found no room. SQLite overwrites it.
    fn cut_off_unused(&self) -> io::Result<()> {
        let used = LOG_HEADER as u64 + u64::from(self.mark.frames) * FRAME as u64;
        OpenOptions::new().write(true).open(&self.path)?.set_len(used)
    }

    fn checkpoint(&mut self, connection: &Connection, how: &str) -> Result<(), StorageError> {
        // Once all of it is in the file SQLite may begin the log anew, and an older mark would miss the older log.
        self.flush_mark()?;
        let sql = format!("PRAGMA wal_checkpoint({how})");
        connection.query_row(&sql, [], |_| Ok(())).map_err(typed)
    }

    fn note(&mut self, connection: &Connection, flushed: bool) -> Result<(), StorageError> {
        let count = || connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row([], |row| unsigned(row, 1));
        let frames = u32::try_from(count().map_err(typed)?).unwrap_or(u32::MAX);
        if frames == 0 {
            return Ok(());
        }
        self.note_last(frames, flushed).map_err(|error| of_file(&error, &self.path))
    }

    /// Notes the last of `frames`.
    fn note_last(&mut self, frames: u32, flushed: bool) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        let (mut header, mut frame) = ([0; LOG_HEADER], [0; FRAME]);
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut header)?;
        let log = LogName::of_header(&header);
        if (log, frames) == (self.mark.log, self.mark.frames) {
            return Ok(());
        }
        file.seek(SeekFrom::Start(LOG_HEADER as u64 + u64::from(frames - 1) * FRAME as u64))?;
        file.read_exact(&mut frame)?;
        let (head, page) = frame.split_at(FRAME_HEADER);
        let flushed = match flushed {
            true => frames,
            false if log == self.mark.log => self.mark.flushed,
            false => 0,
        };
        let begun = log != self.mark.log;
        self.pages = number_at(head, 4);
        self.mark = Mark { log, frames, flushed, page: number_at(head, 0), content: checksum::of(&[], page) };
        if begun {
            self.due = self.limit();
        }
        self.mark_is_durable = false;
        self.mark.write(&self.beside)
    }

    fn flush_mark(&mut self) -> Result<(), StorageError> {
        if self.mark_is_durable {
            return Ok(());
        }
        // Again: what a flush that failed has left behind may look clean to the system.
        let flushed = self.mark.write(&self.beside).and_then(|()| self.beside.sync_data());
        self.mark_is_durable = flushed.is_ok();
        flushed.map_err(|error| of_file(&error, &self.path))
    }

    /// How many frames the log may have: it takes a share of the room that the replica takes.
    fn limit(&self) -> u32 {
        let share = u64::from(self.pages) * PAGE as u64 / 2;
        let bytes = if self.cramped { CRAMPED_BYTES } else { share.max(LEAST_BYTES) };
        u32::try_from(bytes.min(self.most) / FRAME as u64).unwrap_or(u32::MAX).max(1)
    }

    /// Begun anew, the log's file is cut back to the size that it may have.
    fn keep(&self, connection: &Connection) {
        let bytes = i64::from(self.limit()) * FRAME as i64;
        if let Err(error) = connection.pragma_update_and_check(None, "journal_size_limit", bytes, |_| Ok(())) {
            tracing::warn!(%error, "the write-ahead log keeps its size");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // SQLite, which closes after this, moves the log into the file and removes it.
        drop(self.flush_mark());
    }
}

fn is_full(error: &StorageError) -> bool {
    matches!(error, StorageError::Full(_))
}
