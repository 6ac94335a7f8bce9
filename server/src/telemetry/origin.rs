//! Where the request that is being answered came from, for what is written far below the routes.

tokio::task_local! {
    static PEER: Option<String>;
}

/// Runs `answer` as the answer to a request from `peer`.
pub(crate) async fn from<T>(peer: Option<String>, answer: impl Future<Output = T>) -> T {
    PEER.scope(peer, answer).await
}

/// The address of the caller whom this task answers; `None` without a network.
pub(crate) fn peer() -> Option<String> {
    PEER.try_with(Clone::clone).ok().flatten()
}
