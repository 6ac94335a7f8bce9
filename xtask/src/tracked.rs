//! The text files that git tracks.

use crate::process::{Result, output, program, root};

/// A tracked file.
pub struct TextFile {
    /// Its path from the repository's root, with `/`.
    pub name: String,
    pub text: String,
}

/// All tracked files that are text and still there.
pub fn texts() -> Result<Vec<TextFile>> {
    let listing = output(&mut program("git", ["ls-files", "-z"]))?;
    let read = |name: &str| {
        let text = std::fs::read_to_string(root().join(name)).ok()?;
        Some(TextFile { name: name.to_owned(), text })
    };
    Ok(listing.split('\0').filter(|name| !name.is_empty()).filter_map(read).collect())
}
