//! The program as a process.
#![allow(dead_code, reason = "each of the tests that share it uses a part")]

pub mod operator;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The program, without settings from the surroundings.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unisono-server"));
    for name in ["UNISONO_JWT_SECRET", "UNISONO_DATA", "UNISONO_LISTEN", "UNISONO_LOG"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end.
pub fn run(args: &[&str]) -> Output {
    program().args(args).output().expect("the program runs")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A running server, which ends with the test.
pub struct Running {
    pub child: Child,
    pub url: String,
}

impl Running {
    pub fn start(data: &Path) -> Self {
        Self::start_on(data, "127.0.0.1:0")
    }

    /// A server with further options.
    pub fn start_with(data: &Path, options: &[&str]) -> Self {
        Self::spawn(data, &[&["--listen", "127.0.0.1:0"], options].concat())
    }

    pub fn start_on(data: &Path, address: &str) -> Self {
        Self::spawn(data, &["--listen", address])
    }

    fn spawn(data: &Path, options: &[&str]) -> Self {
        let mut child = program()
            .args(["serve", "--dev", "--data"])
            .arg(data)
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("its output")).read_line(&mut line).expect("a line");
        let url = line.trim_end().strip_prefix("listening on ").map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("not the announced line: {line:?}"));
        Self { child, url }
    }

    /// Sends SIGTERM; answers whether the program ended well, and its log.
    pub fn terminate(mut self) -> (bool, String) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().expect("a signal is sent");
        assert!(sent.success());
        let mut log = String::new();
        self.child.stderr.take().expect("its log").read_to_string(&mut log).expect("UTF-8");
        (self.child.wait().expect("it ends").success(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone after a good test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
