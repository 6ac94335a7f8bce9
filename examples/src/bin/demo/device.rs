//! A device as the demo sees it: a process that can be told what to do, killed, and started again.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Program};
use unisono::model::EventId;

use crate::device_process::TOKEN_VARIABLE;
use crate::failure::{Failure, Result, doing};
use crate::screen::Stage;
use crate::wire::{Answer, Command, Edit, Fates, Looked, Synced};

/// What it takes to start a device.
pub struct Plan {
    pub name: &'static str,
    pub replica: PathBuf,
    pub url: String,
    pub account: &'static str,
    pub token: String,
}

/// A running device. Dropping it kills its process.
pub struct Device {
    plan: Plan,
    child: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Every event that the device has acknowledged to the demo, in this process or one before it.
    pub events: Vec<EventId>,
    /// Sum over all its syncs.
    pub synced: Synced,
}

impl Device {
    /// Starts the device's process and waits until its replica is open.
    pub async fn start(plan: Plan) -> Result<Self> {
        let program = std::env::current_exe().map_err(doing("finding this program"))?;
        let mut child = Program::new(program)
            .args(["device", "--url", &plan.url, "--account", plan.account, "--replica"])
            .arg(&plan.replica)
            .env(TOKEN_VARIABLE, &plan.token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(doing("starting a device"))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Silent(plan.name));
        };
        let answers = BufReader::new(stdout).lines();
        let mut device = Self { plan, child, stdin, answers, events: Vec::new(), synced: Synced::default() };
        match device.answer(None).await? {
            Answer::Ready => Ok(device),
            other => Err(device.unexpected(&other)),
        }
    }

    /// Kills the process, as a crash or a power cut would, and starts it again on the same replica.
    pub async fn kill_and_restart(mut self) -> Result<Self> {
        self.child.kill().await.map_err(doing("killing a device"))?;
        let Self { plan, events, synced, .. } = self;
        Ok(Self { events, synced, ..Self::start(plan).await? })
    }

    /// Closes the replica and ends the process.
    pub async fn close(self) -> Result {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        child.wait().await.map_err(doing("waiting for a device to end"))?;
        Ok(())
    }

    pub fn name(&self) -> &'static str {
        self.plan.name
    }

    pub async fn import(&mut self, records: usize, stage: &Stage) -> Result<usize> {
        match self.ask(&Command::Import { records }, Some(stage)).await? {
            Answer::Written { events } => Ok(self.acknowledged(events)),
            other => Err(self.unexpected(&other)),
        }
    }

    pub async fn write(&mut self, edits: Vec<Edit>) -> Result<usize> {
        match self.ask(&Command::Write { edits }, None).await? {
            Answer::Written { events } => Ok(self.acknowledged(events)),
            other => Err(self.unexpected(&other)),
        }
    }

    pub async fn sync(&mut self, stage: &Stage) -> Result<Synced> {
        match self.ask(&Command::Sync, Some(stage)).await? {
            Answer::Synced(synced) => {
                self.synced.pushed += synced.pushed;
                self.synced.pulled += synced.pulled;
                self.synced.conflicts += synced.conflicts;
                self.synced.parked += synced.parked;
                Ok(synced)
            }
            other => Err(self.unexpected(&other)),
        }
    }

    pub async fn look(&mut self, records: Vec<String>) -> Result<Looked> {
        match self.ask(&Command::Look { records }, None).await? {
            Answer::Looked(looked) => Ok(*looked),
            other => Err(self.unexpected(&other)),
        }
    }

    /// What became of everything that the device has acknowledged.
    pub async fn follow(&mut self) -> Result<Fates> {
        let events = self.events.clone();
        match self.ask(&Command::Follow { events }, None).await? {
            Answer::Followed(fates) => Ok(fates),
            other => Err(self.unexpected(&other)),
        }
    }

    fn acknowledged(&mut self, events: Vec<EventId>) -> usize {
        let count = events.len();
        self.events.extend(events);
        count
    }

    async fn ask(&mut self, command: &Command, stage: Option<&Stage>) -> Result<Answer> {
        let mut line = serde_json::to_vec(command).map_err(|error| Failure::Broken(error.to_string()))?;
        line.push(b'\n');
        self.stdin.write_all(&line).await.map_err(doing("telling a device what to do"))?;
        self.answer(stage).await
    }

    async fn answer(&mut self, stage: Option<&Stage>) -> Result<Answer> {
        loop {
            let line = self.answers.next_line().await.map_err(doing("listening to a device"))?;
            let line = line.ok_or(Failure::Silent(self.plan.name))?;
            match serde_json::from_str(&line).map_err(|error| Failure::Broken(format!("{error} in {line:?}")))? {
                Answer::Progress { done, total } => {
                    if let Some(stage) = stage {
                        stage.progress(done, total);
                    }
                }
                Answer::Failed { code, message } => {
                    return Err(Failure::Device { name: self.plan.name, code, message });
                }
                answer => return Ok(answer),
            }
        }
    }

    fn unexpected(&self, answer: &Answer) -> Failure {
        Failure::Broken(format!("device {} answers {answer:?}", self.plan.name))
    }
}
