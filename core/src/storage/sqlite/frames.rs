//! A write-ahead log, read as SQLite reads it.

/// Bytes of a page of every replica.
pub(super) const PAGE: usize = 4096;
/// Bytes of a log's header.
pub(super) const LOG_HEADER: usize = 32;
/// Bytes before each page in a log.
pub(super) const FRAME_HEADER: usize = 24;
/// Bytes of a page in a log, with what stands before it.
pub(super) const FRAME: usize = FRAME_HEADER + PAGE;

/// Which log a file holds. Whenever SQLite begins it anew, having moved all of it into the database, the number and the
/// first half of the salt grow by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LogName {
    pub(super) number: u32,
    pub(super) salt: [u32; 2],
}

impl LogName {
    /// Reads it from a log's header, whose checksum is not looked at.
    pub(super) fn of_header(header: &[u8]) -> Self {
        Self { number: number_at(header, 12), salt: [number_at(header, 16), number_at(header, 20)] }
    }

    /// Whether the log of this name was begun, in the same file, after that of `earlier`.
    pub(super) fn follows(self, earlier: Self) -> bool {
        let begun = self.number.wrapping_sub(earlier.number);
        begun != 0 && begun < u32::MAX / 2 && self.salt[0] == earlier.salt[0].wrapping_add(begun)
    }
}

/// A log's valid frames, from the first up to the first that is not.
#[derive(Debug)]
pub(super) struct Frames<'l> {
    pub(super) name: LogName,
    header: &'l [u8],
    rest: &'l [u8],
    sum: (u32, u32),
    big_endian: bool,
}

/// One page as a commit has changed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'l> {
    /// The page's number, from 1.
    pub(super) number: u32,
    pub(super) page: &'l [u8],
    /// Whether a commit ends with it.
    pub(super) commits: bool,
}

impl<'l> Frames<'l> {
    /// Begins to read `log`; `None` if its header is no valid one.
    pub(super) fn of(log: &'l [u8]) -> Option<Self> {
        let big_endian = match number_at(log, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let header = log.get(..LOG_HEADER).filter(|header| number_at(header, 8) as usize == PAGE)?;
        let sum = checksum((0, 0), &header[..24], big_endian);
        if sum != (number_at(header, 24), number_at(header, 28)) {
            return None;
        }
        Some(Self { name: LogName::of_header(header), header, rest: &log[LOG_HEADER..], sum, big_endian })
    }

    /// How many frames belong to whole commits.
    pub(super) fn committed(self) -> u32 {
        let mut committed = 0;
        for (frame, number) in self.zip(1..) {
            if frame.commits {
                committed = number;
            }
        }
        committed
    }
}

impl<'l> Iterator for Frames<'l> {
    type Item = Frame<'l>;

    fn next(&mut self) -> Option<Frame<'l>> {
        let (frame, rest) = self.rest.split_at_checked(FRAME)?;
        let (head, page) = frame.split_at(FRAME_HEADER);
        self.sum = checksum(checksum(self.sum, &head[..8], self.big_endian), page, self.big_endian);
        if head[8..16] != self.header[16..24] || self.sum != (number_at(head, 16), number_at(head, 20)) {
            self.rest = &[];
            return None;
        }
        self.rest = rest;
        // The size of the database after a commit; 0 within one.
        Some(Frame { number: number_at(head, 0), page, commits: number_at(head, 4) != 0 })
    }
}

/// A big-endian number; 0 beyond the end.
pub(super) fn number_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn checksum((mut first, mut second): (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    for pair in bytes.as_chunks::<8>().0 {
        let word = |at: usize| {
            let bytes = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        first = first.wrapping_add(word(0)).wrapping_add(second);
        second = second.wrapping_add(word(4)).wrapping_add(first);
    }
    (first, second)
}
