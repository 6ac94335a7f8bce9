//! The promises in README and docs name tests. Each of them exists.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("a source file"));
        }
    }
}

#[test]
fn every_promise_names_tests_that_exist() {
    let mut code = String::new();
    ["core", "server", "tests"].iter().for_each(|folder| sources(&root().join(folder), &mut code));
    for document in ["README.md", "docs/promises.md"] {
        let text = std::fs::read_to_string(root().join(document)).expect("a document");
        for number in 1..=16 {
            let start = format!("| I{number} |");
            let row =
                text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{document}: I{number}"));
            let names: Vec<_> = row.split('`').skip(1).step_by(2).filter(|name| name.contains('_')).collect();
            assert!(!names.is_empty(), "{document}: I{number} names no test");
            for name in names {
                assert!(
                    code.contains(&format!("fn {name}(")),
                    "{document}: I{number} names {name}, which is not there"
                );
            }
        }
    }
}
