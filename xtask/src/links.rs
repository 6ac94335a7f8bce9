//! Links between the repository's documents lead somewhere.

use std::path::{Component, Path, PathBuf};

use crate::process::{Result, fail, root};
use crate::tracked;

/// Fails with a list of the links whose file is not there.
pub fn check() -> Result {
    let mut broken = Vec::new();
    for file in tracked::texts()?.iter().filter(|file| file.name.ends_with(".md")) {
        let folder = Path::new(&file.name).parent().unwrap_or(Path::new(""));
        for link in links(&file.text) {
            if !resolve(folder, link).is_some_and(|path| root().join(path).exists()) {
                broken.push(format!("{}: {link}", file.name));
            }
        }
    }
    if broken.is_empty() {
        eprintln!("Every link between documents leads to a file.");
        return Ok(());
    }
    fail(format!("links that lead nowhere:\n  {}", broken.join("\n  ")))
}

/// The targets of `[…](target)` that are files: no URLs, no anchors within the page.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        let (file, _) = target.split_once('#').unwrap_or((target, ""));
        (!file.is_empty() && !file.contains("://") && !file.contains(char::is_whitespace)).then_some(file)
    })
}

/// The link as a path from the root; `None` if it leaves the repository.
fn resolve(folder: &Path, link: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in folder.join(link).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_are_found_and_others_left_alone() {
        let text = "[a](docs/a.md) [b](https://example.org/x) [c](#c) [d](../d.md#part) [e](not a link)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["docs/a.md", "../d.md"]);
    }

    #[test]
    fn links_are_resolved_from_their_document_and_stay_inside() {
        let from = Path::new("docs/adr");
        assert_eq!(resolve(from, "../protocol.md"), Some(PathBuf::from("docs/protocol.md")));
        assert_eq!(resolve(from, "./0001.md"), Some(PathBuf::from("docs/adr/0001.md")));
        assert_eq!(resolve(from, "../../../x"), None);
        assert_eq!(resolve(from, "/x"), None);
    }
}
