//! A disk with a volatile cache: what a power loss may leave of the operations that a process has made.
//!
//! The rules are those that a careful program may rely on, and no more:
//! - A file's bytes are safe once a sync of that file has returned; its name is safe once the folder was synced.
//! - Until then each write, sector by sector, each change of size and each change of a name may have happened or not.
//! - After a sync that *failed*, what was unsynced may be there or not, and no later sync changes that: the system has
//!   forgotten that it was dirty.
//! - A write does not harm its neighbours (what SQLite calls powersafe overwrite).

use std::collections::BTreeMap;

use unisono::testing::SeededRandom;

use super::trace::Operation;

/// The unit that a disk writes whole.
const SECTOR: usize = 512;

/// What a power loss leaves of everything that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// All of it: the process died, the system lived.
    Kept,
    /// None of it.
    Dropped,
    /// Each file's first operations, up to some moment.
    Prefix,
    /// Each write whole or not at all, in no order.
    Subset,
    /// Each sector of each write or not, in no order.
    Torn,
}

/// The content of the folder's files after a loss.
pub type Image = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Resize(usize),
}

/// Whether a change is on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pending,
    Durable,
    /// A sync failed while it was pending.
    Orphaned,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What the changes begin with; on the medium.
    base: Vec<u8>,
    changes: Vec<(Change, Fate)>,
}

#[derive(Clone, Debug)]
enum Naming {
    Link(String, usize),
    Unlink(String),
    Rename(String, String),
}

type Names = BTreeMap<String, usize>;

/// The files of one folder.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    names: Names,
    durable_names: Names,
    namings: Vec<Naming>,
}

impl Disk {
    /// A folder of files that are on the medium.
    #[must_use]
    pub fn holding(image: Image) -> Self {
        let mut disk = Self::default();
        for (name, base) in image {
            disk.names.insert(name, disk.files.len());
            disk.files.push(File { base, changes: Vec::new() });
        }
        disk.durable_names = disk.names.clone();
        disk
    }

    /// Makes `operation` happen.
    ///
    /// # Panics
    /// If it is about a file that is not there.
    pub fn perform(&mut self, operation: &Operation) {
        match operation {
            Operation::Create(name) => {
                self.files.push(File::default());
                self.rename(Naming::Link(name.clone(), self.files.len() - 1));
            }
            Operation::Write { name, offset, data } => {
                let offset = usize::try_from(*offset).expect("a file fits into memory");
                self.change(name, Change::Write { offset, data: data.clone() });
            }
            Operation::Truncate { name, size } => {
                self.change(name, Change::Resize(usize::try_from(*size).expect("a file fits into memory")));
            }
            Operation::Sync { name, failed } => self.file(name).sync(*failed),
            Operation::SyncFolder { failed: false } => {
                self.durable_names.clone_from(&self.names);
                self.namings.clear();
            }
            Operation::Unlink(name) => self.rename(Naming::Unlink(name.clone())),
            Operation::Rename { from, to } => self.rename(Naming::Rename(from.clone(), to.clone())),
            Operation::SyncFolder { failed: true } | Operation::Refused | Operation::Mark(_) => {}
        }
    }

    fn file(&mut self, name: &str) -> &mut File {
        let index = *self.names.get(name).unwrap_or_else(|| panic!("{name} is not there"));
        &mut self.files[index]
    }

    fn change(&mut self, name: &str, change: Change) {
        self.file(name).changes.push((change, Fate::Pending));
    }

    fn rename(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.namings.push(naming);
    }

    /// What a loss of power leaves now.
    pub fn image(&self, survival: Survival, random: &mut SeededRandom) -> Image {
        let names = match survival {
            Survival::Kept => self.names.clone(),
            _ => {
                let mut names = self.durable_names.clone();
                let mut survives = survivors(survival, self.namings.len(), random);
                self.namings.iter().filter(|_| survives(random)).for_each(|naming| naming.apply(&mut names));
                names
            }
        };
        names.into_iter().map(|(name, index)| (name, self.files[index].left(survival, random))).collect()
    }
}

/// Decides, one after the other, which of `count` unsynced changes survive.
fn survivors(
    survival: Survival,
    count: usize,
    random: &mut SeededRandom,
) -> impl FnMut(&mut SeededRandom) -> bool + use<> {
    let end = if survival == Survival::Prefix { random.below(count as u64 + 1) } else { 0 };
    let mut index = 0;
    move |random| {
        index += 1;
        match survival {
            Survival::Kept => true,
            Survival::Dropped => false,
            Survival::Prefix => index <= end,
            Survival::Subset | Survival::Torn => random.below(2) == 0,
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Link(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Unlink(name) => drop(names.remove(name)),
            // Without the file that was to be renamed, because its making was lost, nothing is renamed.
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

impl File {
    fn sync(&mut self, failed: bool) {
        let fate = if failed { Fate::Orphaned } else { Fate::Durable };
        self.changes.iter_mut().filter(|(_, old)| *old == Fate::Pending).for_each(|(_, old)| *old = fate);
        let settled = self.changes.iter().position(|(_, fate)| *fate != Fate::Durable).unwrap_or(self.changes.len());
        for (change, _) in self.changes.drain(..settled) {
            change.apply(&mut self.base);
        }
    }

    fn left(&self, survival: Survival, random: &mut SeededRandom) -> Vec<u8> {
        let mut bytes = self.base.clone();
        let unsure = self.changes.iter().filter(|(_, fate)| *fate != Fate::Durable).count();
        let mut survives = survivors(survival, unsure, random);
        for (change, fate) in &self.changes {
            match (change, fate) {
                (change, Fate::Durable) => change.apply(&mut bytes),
                (Change::Write { offset, data }, _) if survival == Survival::Torn => {
                    tear(&mut bytes, *offset, data, random);
                }
                (change, _) => {
                    if survives(random) {
                        change.apply(&mut bytes);
                    }
                }
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => put(bytes, *offset, data),
            Self::Resize(size) => bytes.resize(*size, 0),
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

/// Writes some of the sectors that `data` touches. The file may have grown without its bytes.
fn tear(bytes: &mut Vec<u8>, offset: usize, data: &[u8], random: &mut SeededRandom) {
    if random.below(2) == 0 && bytes.len() < offset + data.len() {
        bytes.resize(offset + data.len(), 0);
    }
    let mut at = 0;
    while at < data.len() {
        let length = (SECTOR - (offset + at) % SECTOR).min(data.len() - at);
        if random.below(2) == 0 {
            put(bytes, offset + at, &data[at..at + length]);
        }
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, offset: u64, data: &[u8]) -> Operation {
        Operation::Write { name: name.into(), offset, data: data.to_vec() }
    }

    fn sync(name: &str, failed: bool) -> Operation {
        Operation::Sync { name: name.into(), failed }
    }

    fn disk(operations: &[Operation]) -> Disk {
        let mut disk = Disk::holding(Image::from([("a".to_owned(), b"old".to_vec())]));
        operations.iter().for_each(|operation| disk.perform(operation));
        disk
    }

    fn images(disk: &Disk, survival: Survival) -> Vec<Image> {
        (0..64).map(|seed| disk.image(survival, &mut SeededRandom::stream(seed, 0))).collect()
    }

    #[test]
    fn what_was_synced_survives_everything_and_what_was_not_may_go() {
        let disk = disk(&[write("a", 0, b"new"), sync("a", false), write("a", 3, b"er")]);
        assert!(images(&disk, Survival::Kept).iter().all(|image| image["a"] == b"newer"));
        assert!(images(&disk, Survival::Dropped).iter().all(|image| image["a"] == b"new"));
        for survival in [Survival::Prefix, Survival::Subset, Survival::Torn] {
            let images = images(&disk, survival);
            assert!(images.iter().all(|image| image["a"].starts_with(b"new")));
            for expected in [&b"new"[..], b"newer"] {
                assert!(images.iter().any(|image| image["a"] == expected), "{survival:?}");
            }
        }
    }

    #[test]
    fn a_name_is_safe_after_a_sync_of_the_folder_only() {
        let operations = [Operation::Create("b".into()), write("b", 0, b"x"), sync("b", false)];
        let mut disk = disk(&operations);
        assert!(images(&disk, Survival::Dropped).iter().all(|image| !image.contains_key("b")));
        disk.perform(&Operation::SyncFolder { failed: false });
        assert!(images(&disk, Survival::Dropped).iter().all(|image| image["b"] == b"x"));
        disk.perform(&Operation::Rename { from: "b".into(), to: "a".into() });
        disk.perform(&Operation::Unlink("a".into()));
        assert!(images(&disk, Survival::Dropped).iter().all(|image| image["b"] == b"x" && image["a"] == b"old"));
        assert!(images(&disk, Survival::Kept).iter().all(Image::is_empty));
    }

    #[test]
    fn a_write_is_torn_at_sectors() {
        let disk = disk(&[write("a", 0, &[b'n'; 1024])]);
        let images = images(&disk, Survival::Torn);
        assert!(images.iter().any(|image| image["a"].starts_with(b"old") && image["a"][512..] == [b'n'; 512]));
        assert!(images.iter().any(|image| image["a"][..3] == *b"nnn" && image["a"].get(512) != Some(&b'n')));
        assert!(images.iter().any(|image| image["a"].len() == 1024 && image["a"][512..] == [0; 512]));
    }

    #[test]
    fn after_a_failed_sync_no_later_one_makes_the_old_writes_safe() {
        let disk = disk(&[write("a", 0, b"1"), sync("a", true), write("a", 1, b"2"), sync("a", false)]);
        assert!(images(&disk, Survival::Dropped).iter().all(|image| image["a"] == b"o2d"));
        assert!(images(&disk, Survival::Kept).iter().all(|image| image["a"] == b"12d"));
    }
}
