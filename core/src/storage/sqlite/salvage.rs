//! Reads the rows of a damaged file, page by page, without SQLite.
//!
//! SQLite finds rows through its trees, and a damaged page hides all that lies beneath it. Here every page that looks like a
//! part of a tree is read for itself, so that a row is lost only if it lies on a damaged page. The log is taken into account
//! as SQLite would; pages that the file says are free are left out, because what they hold was deleted. A row whose checksum
//! is wrong is no row. The file is only read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::checksum;
use super::error::of_file;
use super::frames::{Frames, PAGE, number_at};
use super::inspect::{APPLICATION_ID_AT, MAGIC};
use super::lock::sibling;
use super::schema::{APPLICATION_ID, STEPS};
use crate::storage::{Row, StorageError};

const FILE_HEADER: usize = 100;
const FREELIST_AT: usize = 32;
const VERSION_AT: usize = 60;
/// A version beyond this is damage.
const ABSURD_VERSION: u32 = 1_000;
/// The kinds of pages that hold rows of tables without row ids.
const INNER: u8 = 0x02;
const LEAF: u8 = 0x0a;
/// A row on a page takes at most so many bytes of its beginning there, and at least so many; the rest lies on pages of its own.
const MOST_LOCAL: usize = (PAGE - 12) * 64 / 255 - 23;
const LEAST_LOCAL: usize = (PAGE - 12) * 32 / 255 - 23;

/// What can still be read of a file.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    /// From the oldest to the newest. Their tables are not known: keys and values tell.
    pub(crate) rows: Vec<Row>,
    /// Rows that are there, and damaged.
    pub(crate) damaged: u64,
}

/// Reads the replica at `path`.
pub(crate) fn salvage(path: &Path) -> Result<Salvage, StorageError> {
    let file = std::fs::read(path).map_err(|error| of_file(&error, path))?;
    let log = std::fs::read(sibling(path, "-wal")).unwrap_or_default();
    let pages = Pages { later: committed(&log), file: &file };
    let free = pages.free();
    let (mut rows, mut damaged) = (Vec::new(), 0);
    // The first page holds the schema only.
    for number in (2..=pages.count()).filter(|number| !free.contains(number)) {
        if let Some(page) = pages.get(number) {
            for row in read_page(&pages, page) {
                match row {
                    Some(row) => rows.push(row),
                    None => damaged += 1,
                }
            }
        }
    }
    rows.sort_by_key(|(age, _)| *age);
    Ok(Salvage { rows: rows.into_iter().map(|(_, row)| row).collect(), damaged })
}

/// The pages of a file, as its log has changed them.
struct Pages<'f> {
    file: &'f [u8],
    later: BTreeMap<u32, &'f [u8]>,
}

impl<'f> Pages<'f> {
    fn count(&self) -> u32 {
        let in_file = u32::try_from(self.file.len() / PAGE).unwrap_or(u32::MAX);
        in_file.max(self.later.keys().next_back().copied().unwrap_or(0))
    }

    /// Pages are numbered from 1.
    fn get(&self, number: u32) -> Option<&'f [u8]> {
        if let Some(page) = self.later.get(&number) {
            return Some(page);
        }
        let start = (number as usize).checked_sub(1)?.checked_mul(PAGE)?;
        self.file.get(start..start + PAGE)
    }

    /// The pages on the list of free ones, as far as it can be followed.
    fn free(&self) -> BTreeSet<u32> {
        let mut free = BTreeSet::new();
        let mut trunk = self.get(1).map_or(0, |page| number_at(page, FREELIST_AT));
        while trunk != 0 && free.insert(trunk) {
            let Some(page) = self.get(trunk) else { break };
            let leaves = (number_at(page, 4) as usize).min(PAGE / 4 - 2);
            free.extend((0..leaves).map(|index| number_at(page, 8 + index * 4)));
            trunk = number_at(page, 0);
        }
        free
    }
}

/// The newest version of each page that a log has committed.
fn committed(log: &[u8]) -> BTreeMap<u32, &[u8]> {
    let (mut pages, mut open) = (BTreeMap::new(), BTreeMap::new());
    for frame in Frames::of(log).into_iter().flatten() {
        open.insert(frame.number, frame.page);
        if frame.commits {
            pages.append(&mut open);
        }
    }
    pages
}

/// The rows of a page, each after the number of times that it was put; `None` for a damaged one.
fn read_page(pages: &Pages<'_>, page: &[u8]) -> Vec<Option<(u64, Row)>> {
    let (header, before_payload) = match page[0] {
        LEAF => (8, 0),
        // The number of a page further down comes first.
        INNER => (12, 4),
        _ => return Vec::new(),
    };
    let cells = usize::from(u16::from_be_bytes([page[3], page[4]]));
    let row = |cell: usize| {
        let at = header + cell * 2;
        let start = usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
        payload(pages, page, start + before_payload).as_deref().and_then(record)
    };
    (0..cells.min((PAGE - header) / 2)).map(row).collect()
}

/// The bytes of a row, gathered from its page and those that follow it.
fn payload(pages: &Pages<'_>, page: &[u8], at: usize) -> Option<Vec<u8>> {
    let (length, taken) = varint(page.get(at..)?)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= pages.count() as usize * PAGE)?;
    let at = at + taken;
    let local = if length <= MOST_LOCAL {
        length
    } else {
        let some = LEAST_LOCAL + (length - LEAST_LOCAL) % (PAGE - 4);
        if some <= MOST_LOCAL { some } else { LEAST_LOCAL }
    };
    let mut bytes = page.get(at..at + local)?.to_vec();
    let mut next = if local < length { number_at(page, at + local) } else { 0 };
    while bytes.len() < length {
        let more = pages.get(next).filter(|_| next != 0)?;
        let size = (length - bytes.len()).min(PAGE - 4);
        bytes.extend(&more[4..4 + size]);
        next = number_at(more, 0);
    }
    Some(bytes)
}

/// Reads the columns key, value, version and checksum.
fn record(bytes: &[u8]) -> Option<(u64, Row)> {
    let (header, mut at) = varint(bytes)?;
    let header = usize::try_from(header).ok()?;
    let mut kinds = Vec::with_capacity(4);
    while at < header {
        let (kind, taken) = varint(bytes.get(at..header)?)?;
        kinds.push(kind);
        at += taken;
    }
    let mut rest = bytes.get(header..)?;
    let mut column = |kind: u64| {
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let (bytes, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(bytes)
    };
    let blob = |kind: u64| (kind >= 12 && kind.is_multiple_of(2)).then_some(kind);
    let [key, value, version, sum @ ..] = kinds.as_slice() else { return None };
    let key_bytes = column(blob(*key)?)?.to_vec();
    let value_bytes = column(blob(*value)?)?.to_vec();
    let version = integer(*version, column(*version)?)?;
    if let [sum] = *sum
        && sum != 0
        && integer(sum, column(sum)?)? != checksum::of(&key_bytes, &value_bytes)
    {
        return None;
    }
    Some((u64::try_from(version).ok()?, Row { key: key_bytes, value: value_bytes }))
}

fn integer(kind: u64, bytes: &[u8]) -> Option<i64> {
    match kind {
        8 => Some(0),
        9 => Some(1),
        1..=6 => {
            let first = i64::from(i8::from_ne_bytes([*bytes.first()?]));
            Some(bytes[1..].iter().fold(first, |number, byte| (number << 8) | i64::from(*byte)))
        }
        _ => None,
    }
}

/// SQLite's variable-length integer, and its length.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        if index == 8 {
            return Some(((number << 8) | u64::from(*byte), 9));
        }
        number = (number << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

/// Refuses a file whose header says that it is another program's, or a newer SDK's.
pub(super) fn check_owner(path: &Path) -> Result<(), StorageError> {
    let mut header = Vec::with_capacity(FILE_HEADER);
    let file = File::open(path).map_err(|error| of_file(&error, path))?;
    file.take(FILE_HEADER as u64).read_to_end(&mut header).map_err(|error| of_file(&error, path))?;
    if header.len() < FILE_HEADER || !header.starts_with(MAGIC) {
        return Ok(());
    }
    let version = number_at(&header, VERSION_AT);
    if number_at(&header, APPLICATION_ID_AT) != APPLICATION_ID as u32 {
        return Ok(());
    }
    if version as usize > STEPS.len() && version < ABSURD_VERSION {
        return Err(StorageError::NewerSchema { found: i64::from(version), known: STEPS.len() as i64 });
    }
    Ok(())
}
