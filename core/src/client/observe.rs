//! Events, as a stream that the app reads at its own pace.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::{Either, select};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

use crate::events::ClientEvent;
use crate::replica::Notice;

/// Yields what happens in the client. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Events {
    engine: broadcast::Receiver<ClientEvent>,
    commits: broadcast::Receiver<Arc<Vec<Notice>>>,
    ready: VecDeque<ClientEvent>,
}

impl Events {
    pub(super) fn new(
        engine: broadcast::Receiver<ClientEvent>,
        commits: broadcast::Receiver<Arc<Vec<Notice>>>,
    ) -> Self {
        Self { engine, commits, ready: VecDeque::new() }
    }

    /// Those of a client that is closed: there are none.
    pub(super) fn ended(mut self) -> Self {
        self.ready.push_back(ClientEvent::Closed);
        self
    }

    /// The next event; `None` once the client is closed. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        loop {
            match self.ready.pop_front() {
                Some(ClientEvent::Closed) => {
                    self.ready = VecDeque::from([ClientEvent::Closed]);
                    // What the engine said before the end, and was not asked for yet.
                    return match self.engine.try_recv() {
                        Ok(event) => Some(event),
                        Err(TryRecvError::Lagged(_)) => Some(ClientEvent::Lagged),
                        Err(TryRecvError::Empty | TryRecvError::Closed) => None,
                    };
                }
                Some(event) => return Some(event),
                None => {}
            }
            // `select` polls commits first: what a sync changed is told before its end.
            let (commits, engine) = (std::pin::pin!(self.commits.recv()), std::pin::pin!(self.engine.recv()));
            match select(commits, engine).await {
                Either::Left((Ok(notices), _)) => self.ready.extend(notices.iter().filter_map(ClientEvent::of)),
                Either::Right((Ok(event), _)) => return Some(event),
                Either::Left((Err(RecvError::Lagged(_)), _)) | Either::Right((Err(RecvError::Lagged(_)), _)) => {
                    return Some(ClientEvent::Lagged);
                }
                Either::Left((Err(RecvError::Closed), _)) | Either::Right((Err(RecvError::Closed), _)) => return None,
            }
        }
    }
}
