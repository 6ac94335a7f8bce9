//! Stand-in.
use unisono::environment::SharedEnvironment;
use unisono::model::Scope;
use unisono::protocol::*;
use unisono::transport::Chunk;
/// P
#[derive(Clone, Debug)]
pub struct Principal {
    /// s
    pub subject: String,
    /// w
    pub workspaces: Vec<String>,
}
/// S
#[derive(Clone, Debug)]
pub struct SyncService {
    env: SharedEnvironment,
}
/// F
#[derive(Debug)]
pub struct Feed;
impl Feed {
    /// N
    pub async fn next(&mut self) -> Result<Option<Chunk>, Problem> {
        Ok(None)
    }
}
#[allow(missing_docs)]
impl SyncService {
    pub fn standin(env: SharedEnvironment) -> Self {
        Self { env }
    }
    pub async fn push(
        &self,
        _: &Principal,
        _: PushRequest<Box<serde_json::value::RawValue>>,
    ) -> Result<PushResponse, Problem> {
        Err(Problem::new(503, "x", "x"))
    }
    pub async fn changes(&self, _: &Principal, _: ChangesRequest) -> Result<Feed, Problem> {
        Ok(Feed)
    }
    pub async fn status(&self, _: &Principal, _: Option<Scope>) -> Result<StatusResponse, Problem> {
        let _ = &self.env;
        Err(Problem::new(503, "x", "x"))
    }
    pub async fn digest(&self, _: &Principal, _: Scope) -> Result<DigestResponse, Problem> {
        Err(Problem::new(503, "x", "x"))
    }
    pub async fn stats(&self, _: &Principal, _: Scope) -> Result<StatsResponse, Problem> {
        Err(Problem::new(503, "x", "x"))
    }
    pub async fn set_enabled(&self, _: &Principal, _: bool) -> Result<SyncSwitch, Problem> {
        Err(Problem::new(503, "x", "x"))
    }
    pub async fn sync_now(&self, _: &Principal) -> Result<SyncSwitch, Problem> {
        Err(Problem::new(503, "x", "x"))
    }
    pub async fn ready(&self) -> Result<(), Problem> {
        Ok(())
    }
    pub async fn close(&self) {}
}
