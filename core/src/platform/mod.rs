//! What differs between native targets and wasm, and nothing else.
//!
//! On wasm nothing is `Send`: futures hold JavaScript handles. The bound and the boxed future are relaxed here, together,
//! so that no other file needs a `cfg` for it.

use std::future::Future;
use std::pin::Pin;

#[cfg(not(target_family = "wasm"))]
mod bounds {
    /// `Send` on native targets, nothing on wasm.
    pub trait MaybeSend: Send {}
    impl<T: Send + ?Sized> MaybeSend for T {}
    /// `Sync` on native targets, nothing on wasm.
    pub trait MaybeSync: Sync {}
    impl<T: Sync + ?Sized> MaybeSync for T {}
}

#[cfg(target_family = "wasm")]
mod bounds {
    /// `Send` on native targets, nothing on wasm.
    pub trait MaybeSend {}
    impl<T: ?Sized> MaybeSend for T {}
    /// `Sync` on native targets, nothing on wasm.
    pub trait MaybeSync {}
    impl<T: ?Sized> MaybeSync for T {}
}

pub use bounds::{MaybeSend, MaybeSync};

/// The future that the seams' methods return; `Send` on native targets.
#[cfg(not(target_family = "wasm"))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// The future that the seams' methods return; `Send` on native targets.
#[cfg(target_family = "wasm")]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Work for [`crate::Environment::blocking`].
#[cfg(not(target_family = "wasm"))]
pub type BlockingJob = Box<dyn FnOnce() + Send>;
/// Work for [`crate::Environment::blocking`].
#[cfg(target_family = "wasm")]
pub type BlockingJob = Box<dyn FnOnce()>;

#[cfg(not(feature = "testing"))]
pub(crate) mod sync;
#[cfg(feature = "testing")]
pub mod sync;

#[cfg(feature = "native")]
mod native;
#[cfg(feature = "native")]
pub use native::TokioEnvironment;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod web;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use web::WebEnvironment;
