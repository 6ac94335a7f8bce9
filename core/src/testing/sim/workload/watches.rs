//! Watches, and events that are waited for, begun at every moment of a commit: while a sync is under way, or while the app
//! itself writes. Whenever nothing more can run, a watch shows what its query finds, its changes lead from each answer to the
//! next, and whoever waits for an event has heard of its end (I6).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place, queries};
use crate::Client;
use crate::client::{Reading, Watch, WatchUpdate};
use crate::error::Result as CallResult;
use crate::model::{EventId, Value};
use crate::platform::BoxFuture;
use crate::query::{Record, eq, patch};
use crate::replica::rows::Outcome;
use crate::testing::SeededRandom;
use crate::testing::sim::checks::Violation;
use crate::testing::sim::config::Config;
use crate::testing::sim::ledger::Ledger;

const COLLECTION: &str = "watched";
/// What one process follows at most: who is watched already does not notice what the first observer would miss.
const MOST: usize = 2;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Watches;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    follow: Follow,
    /// The app writes meanwhile; else it syncs.
    write: bool,
    /// When it begins to follow, counted from the beginning of that.
    after_ms: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Follow {
    /// All records that `fields` writes.
    Samples,
    /// A part of what `queries` writes, in order and cut off.
    Library,
    /// What this feature writes.
    Own,
    /// The newest event of the place.
    Event,
}

/// What the app on a device follows. Ends with the process.
#[derive(Clone, Debug, Default)]
pub struct Followed(Arc<Mutex<Vec<Arc<Follower>>>>);

#[derive(Debug)]
struct Follower {
    what: Followable,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Followable {
    Query(Box<Reading>),
    Event(EventId),
}

#[derive(Debug, Default)]
struct State {
    /// The watch's last answer.
    shown: Option<Vec<Record>>,
    /// The event has come to its end, or the watch to its own.
    ended: bool,
    /// It came to that because the storage could not be read, or was closed.
    failed: bool,
    /// What was wrong with an answer.
    wrong: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Followed {
    fn has_room(&self) -> bool {
        lock(&self.0).iter().filter(|follower| !lock(&follower.state).ended).count() < MOST
    }

    /// Begins to follow.
    fn begin(&self, client: &Client, what: Followable) -> CallResult<()> {
        let follower = Arc::new(Follower { what, state: Mutex::default() });
        let task: BoxFuture<'static, ()> = match &follower.what {
            Followable::Query(reading) => Box::pin(Arc::clone(&follower).show(reading.watch()?)),
            Followable::Event(id) => Box::pin(Arc::clone(&follower).wait(client.clone(), id.clone())),
        };
        lock(&self.0).push(follower);
        client.replica().environment().spawn(task);
        Ok(())
    }
}

impl Follower {
    async fn show(self: Arc<Self>, mut watch: Watch) {
        loop {
            match watch.next().await {
                Ok(Some(update)) => lock(&self.state).take(update),
                ended => return self.end(ended.map(drop)),
            }
        }
    }

    async fn wait(self: Arc<Self>, client: Client, id: EventId) {
        let heard = client.settled(&id).await;
        self.end(heard.map(drop));
    }

    fn end(&self, ended: CallResult<()>) {
        let mut state = lock(&self.state);
        (state.ended, state.failed) = (true, ended.is_err());
    }

    async fn check(&self, client: &Client) -> CallResult<Option<String>> {
        let (shown, ended) = {
            let state = lock(&self.state);
            if state.failed {
                return Ok(None);
            }
            if state.wrong.is_some() {
                return Ok(state.wrong.clone());
            }
            (state.shown.clone(), state.ended)
        };
        match &self.what {
            Followable::Query(reading) => {
                let found = reading.all().await?;
                let same = shown.as_ref() == Some(&found);
                Ok((!same || ended)
                    .then(|| format!("a watch shows {shown:?} (ended: {ended}), and its query finds {found:?}")))
            }
            Followable::Event(id) => {
                let outcome = final_outcome(client, id.clone()).await?;
                let over = outcome.as_ref().is_some_and(|outcome| !matches!(outcome, Outcome::Pending { .. }));
                Ok((over && !ended).then(|| format!("whoever waits for {id} has not heard of {outcome:?}")))
            }
        }
    }
}

impl State {
    fn take(&mut self, update: WatchUpdate) {
        if let Some(before) = self.shown.take() {
            let mut list = before.clone();
            patch(&mut list, &update.changes);
            if list != update.records || update.changes.is_empty() {
                self.wrong = Some(format!("{:?} do not lead from {before:?} to {:?}", update.changes, update.records));
            }
        }
        self.shown = Some(update.records);
    }
}

/// What became of an event's content.
async fn final_outcome(client: &Client, id: EventId) -> CallResult<Option<Outcome>> {
    let mut id = id;
    loop {
        match client.outcome(&id).await? {
            Some(Outcome::ReplacedBy { id: next }) => id = next,
            outcome => return Ok(outcome),
        }
    }
}

impl Step {
    /// What is to be followed; `None` where it is an event and there is none.
    fn followable(&self, app: &App) -> Option<Followable> {
        let query = |name| self.place.collection(&app.client, name).query();
        let reading = match self.follow {
            Follow::Samples => query("samples"),
            Follow::Own => query(COLLECTION),
            Follow::Library => query(queries::COLLECTION).filter(eq("/category", "bd")).order_by("/bpm").limit(3),
            Follow::Event => {
                let newest = app.recent.iter().find(|(_, planned)| planned.scope == self.place.scope());
                return newest.map(|(id, _)| Followable::Event(id.clone()));
            }
        };
        Some(Followable::Query(Box::new(reading)))
    }
}

impl Feature for Watches {
    fn name(&self) -> &'static str {
        "watches"
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let follow = match random.below(6) {
            0 | 1 => Follow::Samples,
            2 => Follow::Library,
            3 => Follow::Own,
            _ => Follow::Event,
        };
        let after_ms = [0, random.below(40), random.below(250), random.below(1_000)][random.below(4) as usize];
        json!(Step { place: Place::draw(random), follow, write: random.chance(50), after_ms })
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let step: Step = serde_json::from_value(step.clone()).ok()?;
        let what = step.followable(app).filter(|_| app.followed.has_room());
        let (client, followed, id) = (app.client.clone(), app.followed.clone(), app.mark.clone());
        let begin = {
            let (client, environment) = (client.clone(), client.replica().environment().clone());
            async move {
                environment.sleep(Duration::from_millis(step.after_ms)).await;
                // What cannot be watched at the moment (a scope that is lost) is not.
                drop(what.map(|what| followed.begin(&client, what)));
            }
        };
        let own = step.place.collection(&client, COLLECTION);
        if step.write {
            let writes = vec![step.place.planned(COLLECTION, &id, Value::Null)];
            let write = async move { own.create(&id, json!({"by": id})).await };
            let call = async move {
                let (written, ()) = futures_util::future::join(write, begin).await;
                Ok(vec![Some(written?)])
            };
            return Some(Attempt { writes, call: Box::pin(call) });
        }
        Some(Attempt::refused(async move {
            let syncing = client.clone();
            client.replica().environment().spawn(Box::pin(async move { drop(syncing.sync_now().await) }));
            begin.await;
            Ok(())
        }))
    }

    fn check_device<'a>(&'a self, app: &'a App, _: &'a Ledger) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            if app.committing {
                return Ok(());
            }
            let followers = lock(&app.followed.0).clone();
            for follower in followers {
                // What cannot be read is not compared.
                if let Ok(Some(what)) = follower.check(&app.client).await {
                    return Err(Violation::new("I6", format!("on {}, {what}", app.replica)));
                }
            }
            Ok(())
        })
    }
}
