//! How far the write-ahead log had come, kept beside the replica: a log that was taken away or cut off is missed.
//!
//! SQLite opens a database whose log is gone, or damaged in the middle, as if there had been nothing in it. So after each
//! commit the file of the [lock](super::lock) gets a mark: which log, how many frames, and the last page of the commit. It is
//! written and not flushed, which costs some microseconds: it survives a crash of the process like the commit itself, and
//! after a loss of power an older mark asks for less. A mark is flushed only where an older one would ask for what is no
//! longer in the log: at each opening, and before the log moves into the file.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::checksum;
use super::error::of_file;
use super::frames::{Frames, LogName, PAGE, number_at};
use super::inspect::length;
use super::lock::sibling;
use crate::storage::StorageError;

const MAGIC: [u8; 8] = *b"UniMark1";
const BYTES: usize = 48;

/// What a log held; without frames, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) log: LogName,
    /// Frames of whole commits.
    pub(super) frames: u32,
    /// Of these, how many were flushed: a loss of power cannot take them.
    pub(super) flushed: u32,
    /// The number of the last one's page.
    pub(super) page: u32,
    /// The checksum of what stands on it.
    pub(super) content: i64,
}

impl Mark {
    /// The mark in `file`; `None` if there is none, or not a whole one.
    pub(super) fn read(mut file: &File) -> Option<Self> {
        let mut bytes = [0; BYTES];
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_exact(&mut bytes)).ok()?;
        let (content, sum) = bytes.split_at(BYTES - 8);
        if !content.starts_with(&MAGIC) || sum != checksum::of(&[], content).to_be_bytes() {
            return None;
        }
        let number = |at: usize| number_at(content, at);
        let (high, low) = (number(32).to_be_bytes(), number(36).to_be_bytes());
        Some(Self {
            log: LogName { number: number(8), salt: [number(12), number(16)] },
            frames: number(20),
            flushed: number(24),
            page: number(28),
            content: i64::from_be_bytes([high[0], high[1], high[2], high[3], low[0], low[1], low[2], low[3]]),
        })
    }

    /// Writes the mark to `file`, and does not flush it.
    pub(super) fn write(&self, mut file: &File) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(MAGIC);
        let numbers = [self.log.number, self.log.salt[0], self.log.salt[1], self.frames, self.flushed, self.page];
        numbers.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        bytes.extend(self.content.to_be_bytes());
        bytes.extend(checksum::of(&[], &bytes).to_be_bytes());
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&bytes)
    }

    /// Whether the replica at `path` still has what the mark says. The replica's lock is held, and nobody has it open.
    ///
    /// # Errors
    /// `storage_corrupt` if commits are missing that nothing but damage can have taken; those of reading.
    pub(super) fn check(&self, path: &Path) -> Result<(), StorageError> {
        if !path.exists() {
            // Whoever removes the replica means it.
            return Ok(());
        }
        if length(path) == 0 {
            return Err(StorageError::Corrupt(format!("{} has been emptied", path.display())));
        }
        if self.frames == 0 {
            return Ok(());
        }
        let beside = sibling(path, "-wal");
        let log = match fs::read(&beside) {
            Ok(log) => Some(log),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(of_file(&error, &beside)),
        };
        let mut kept = 0;
        if let Some(frames) = log.as_deref().and_then(Frames::of) {
            if frames.name == self.log {
                kept = frames.committed();
            } else if frames.name.follows(self.log) {
                return Ok(());
            }
        }
        // Another program that looks into the file of a process that was killed moves the log into it, and removes it.
        if kept >= self.frames || self.is_in_file(path)? {
            return Ok(());
        }
        // The log's name is durable since the opening. What was not flushed, a loss of power may have taken.
        if log.is_some() && kept >= self.flushed {
            return Ok(());
        }
        let lost = self.frames - kept;
        Err(StorageError::Corrupt(format!(
            "the write-ahead log {} is gone or damaged: {lost} pages that were acknowledged are missing",
            beside.display()
        )))
    }

    /// Whether the file has the last page of the last commit.
    fn is_in_file(&self, path: &Path) -> Result<bool, StorageError> {
        let mut page = vec![0; PAGE];
        let at = u64::from(self.page.saturating_sub(1)) * PAGE as u64;
        let mut file = File::open(path).map_err(|error| of_file(&error, path))?;
        match file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut page)) {
            Ok(()) => Ok(checksum::of(&[], &page) == self.content),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(of_file(&error, path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_not_at_all_if_a_bit_of_it_has_changed() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Mark::read(&file), None);
        let log = LogName { number: 3, salt: [7, 0xffff_fff0] };
        let mark = Mark { log, frames: 40, flushed: 39, page: 12, content: -5 };
        mark.write(&file).unwrap();
        assert_eq!(Mark::read(&file), Some(mark));
        Mark::default().write(&file).unwrap();
        assert_eq!(Mark::read(&file), Some(Mark::default()));
        for byte in 0..BYTES {
            mark.write(&file).unwrap();
            let mut place = &file;
            place.seek(SeekFrom::Start(byte as u64)).unwrap();
            let mut changed = [0];
            place.read_exact(&mut changed).unwrap();
            place.seek(SeekFrom::Start(byte as u64)).unwrap();
            place.write_all(&[changed[0] ^ 16]).unwrap();
            assert_eq!(Mark::read(&file), None, "byte {byte}");
        }
    }

    #[test]
    fn a_log_follows_one_that_was_begun_before_it_in_the_same_file_only() {
        let name = |number, first| LogName { number, salt: [first, 9] };
        assert!(name(4, 11).follows(name(3, 10)) && name(1, 1).follows(name(u32::MAX, u32::MAX)));
        for other in [name(3, 10), name(4, 12), name(2, 9), name(0, 77)] {
            assert!(!other.follows(name(3, 10)), "{other:?}");
        }
    }
}
