//! What the shim has recorded of a child: file operations and marks, in the order in which they happened.

use std::io;
use std::path::Path;

/// One recorded call, or what the child said between two calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A file came into being.
    Create(String),
    /// Bytes were written.
    Write {
        /// Where.
        name: String,
        /// At which offset.
        offset: u64,
        /// Which.
        data: Vec<u8>,
    },
    /// A file was cut or stretched.
    Truncate {
        /// Which file.
        name: String,
        /// Its new size.
        size: u64,
    },
    /// A file was flushed, or the flush failed.
    Sync {
        /// Which file.
        name: String,
        /// Whether the call reported a failure.
        failed: bool,
    },
    /// The folder's entries were flushed, or the flush failed.
    SyncFolder {
        /// Whether the call reported a failure.
        failed: bool,
    },
    /// A file's name was removed.
    Unlink(String),
    /// A file got another name, in the place of whatever had it.
    Rename {
        /// The name that it had.
        from: String,
        /// The name that it has.
        to: String,
    },
    /// A call that failed without an effect.
    Refused,
    /// What the child said.
    Mark(String),
}

impl Operation {
    /// Whether it is a flush that reported a failure.
    #[must_use]
    pub fn is_failed_sync(&self) -> bool {
        matches!(self, Self::Sync { failed: true, .. } | Self::SyncFolder { failed: true })
    }
}

const HEAD: usize = 16;

/// Reads the shim's log.
///
/// # Errors
/// `InvalidData` if it is not one.
pub fn read(log: &Path) -> io::Result<Vec<Operation>> {
    let bytes = std::fs::read(log)?;
    let mut rest = bytes.as_slice();
    let mut operations = Vec::new();
    while !rest.is_empty() {
        let (operation, length) = parse(rest)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("record {}", operations.len())))?;
        operations.push(operation);
        rest = &rest[length..];
    }
    Ok(operations)
}

fn parse(bytes: &[u8]) -> Option<(Operation, usize)> {
    let head: &[u8; HEAD] = bytes.first_chunk()?;
    let (kind, failed) = (head[0], head[1] != 0);
    let name_length = usize::from(u16::from_le_bytes([head[2], head[3]]));
    let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    let number = u64::from_le_bytes(head[8..].try_into().ok()?);
    let length = HEAD + name_length + size;
    let name = String::from_utf8(bytes.get(HEAD..HEAD + name_length)?.to_vec()).ok()?;
    let data = bytes.get(HEAD + name_length..length)?.to_vec();
    let text = |data: Vec<u8>| String::from_utf8(data).ok();
    let operation = match (kind, failed) {
        (b'C', false) => Operation::Create(name),
        (b'W', false) => Operation::Write { name, offset: number, data },
        (b'T', false) => Operation::Truncate { name, size: number },
        (b'S', failed) => Operation::Sync { name, failed },
        (b'D', failed) => Operation::SyncFolder { failed },
        (b'U', false) => Operation::Unlink(name),
        (b'R', false) => Operation::Rename { from: name, to: text(data)? },
        (b'M', false) => Operation::Mark(text(data)?),
        (b'C' | b'W' | b'T', true) => Operation::Refused,
        _ => return None,
    };
    Some((operation, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, failed: u8, name: &str, number: u64, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, failed];
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(number.to_le_bytes());
        bytes.extend(name.bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn records_are_read_in_order_and_a_torn_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut bytes = record(b'C', 0, "a", 0, b"");
        bytes.extend(record(b'W', 0, "a", 7, b"xyz"));
        bytes.extend(record(b'S', 1, "a", 0, b""));
        bytes.extend(record(b'M', 0, "", 0, b"said"));
        std::fs::write(&log, &bytes).unwrap();
        let expected = [
            Operation::Create("a".into()),
            Operation::Write { name: "a".into(), offset: 7, data: b"xyz".to_vec() },
            Operation::Sync { name: "a".into(), failed: true },
            Operation::Mark("said".into()),
        ];
        assert_eq!(read(&log).unwrap(), expected);
        bytes.pop();
        std::fs::write(&log, &bytes).unwrap();
        assert!(read(&log).is_err());
    }
}
