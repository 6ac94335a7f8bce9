//! The demo as its user runs it, into a pipe. It needs the server's program beside it, which a build of the workspace makes.

use std::process::{Command, Output};

fn demo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).args(args).output().unwrap()
}

#[test]
fn the_demo_ends_in_unison_and_a_pipe_gets_lines_alone() {
    let output = demo(&["--records", "60"]);
    let (said, complained) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}\n{complained}");
    for promise in [", 0 are lost", "In unison?", "Yes: every device and the server hold the same"] {
        assert!(said.contains(promise), "{promise:?} is missing in\n{said}");
    }
    assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{said}");
    assert_eq!(complained, "");
}

#[test]
fn kept_files_are_whole_and_a_folder_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let args = ["--records", "24", "--keep", kept.to_str().unwrap()];
    let first = demo(&args);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    for name in ["device-a.db", "device-b.db", "device-c.db", "server"] {
        assert!(kept.join(name).exists(), "{name}");
    }
    let second = demo(&args);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("is not empty"));
}

#[test]
fn a_missing_server_and_too_few_records_are_told_with_advice() {
    let output = demo(&["--server", "nowhere/unisono-server"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cargo build -p unisono-server"));
    let output = demo(&["--records", "3"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--records"));
}
