//! Why the demo did not come to its good end.

use std::path::PathBuf;

use unisono_examples::server::ServerError;

pub type Result<T = ()> = std::result::Result<T, Failure>;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A promise was broken; the tables say which.
    #[error("{0}")]
    Promise(String),
    #[error("device {name}: {message} ({code})")]
    Device { name: &'static str, code: String, message: String },
    #[error("device {0} ended without an answer")]
    Silent(&'static str),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
    #[error("{} is not empty; name another folder for --keep", .0.display())]
    NotEmpty(PathBuf),
    /// A defect of the demo itself.
    #[error("the demo is broken: {0}")]
    Broken(String),
    #[error("interrupted")]
    Interrupted,
}

/// Names what failed.
pub fn doing(what: &'static str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::Io(what, error)
}
