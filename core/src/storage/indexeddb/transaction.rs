//! A transaction from its first request to its end, driven from event callbacks.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Function;
use tokio::sync::oneshot;
use wasm_bindgen::prelude::*;
use web_sys::{Event, IdbRequest, IdbTransaction};

use super::error::{of_abort, of_exception};
use crate::storage::StorageError;

/// What is done with the results of requests. It may make more of them within the transaction, and is called again with theirs;
/// it has ended when it makes none that anybody waits for.
pub(super) type Step = Box<dyn FnMut(&[JsValue]) -> Result<Vec<IdbRequest>, StorageError>>;

/// Waits for `transaction` to end. Its first requests, `first`, are under way; when all have succeeded, `then` reads their
/// results, within the last one's event. An error of `then` aborts the transaction.
///
/// The transaction goes its way even if the caller stops waiting.
///
/// # Errors
/// What `then` says; else why the transaction was aborted.
pub(super) async fn run<T: 'static>(
    transaction: IdbTransaction,
    first: Vec<IdbRequest>,
    then: impl Fn(&[JsValue]) -> Result<T, StorageError> + 'static,
) -> Result<T, StorageError> {
    let value = Rc::new(RefCell::new(None));
    let kept = value.clone();
    let then = move |results: &[JsValue]| {
        *kept.borrow_mut() = Some(then(results)?);
        Ok(Vec::new())
    };
    steps(transaction, first, Box::new(then)).await?;
    let value = value.borrow_mut().take();
    value.ok_or_else(|| StorageError::Io("a transaction was completed without its work".into()))
}

/// [`run`], for as many steps as `step` wants.
///
/// # Errors
/// What `step` says; else why the transaction was aborted.
pub(super) async fn steps(transaction: IdbTransaction, first: Vec<IdbRequest>, step: Step) -> Result<(), StorageError> {
    let progress = Rc::new(RefCell::new(Progress { requests: first, step, outcome: None }));
    // The handler of each step's last request, which the step before has to name.
    let handler: Rc<RefCell<Option<Function>>> = Rc::default();
    let proceed: Closure<dyn FnMut()> = {
        let (progress, handler, transaction) = (Rc::clone(&progress), Rc::clone(&handler), transaction.clone());
        Closure::new(move || progress.borrow_mut().proceed(&transaction, handler.borrow().as_ref()))
    };
    let function: Function = proceed.as_ref().unchecked_ref::<Function>().clone();
    *handler.borrow_mut() = Some(function.clone());
    let waits = progress.borrow().requests.last().map(|last| last.set_onsuccess(Some(&function))).is_some();
    if !waits {
        progress.borrow_mut().proceed(&transaction, Some(&function));
    }
    let completed = ended(&transaction, proceed).await;
    // It names the closure, which has gone.
    handler.borrow_mut().take();
    let said = progress.borrow_mut().outcome.take();
    match said {
        Some(Err(error)) => Err(error),
        Some(Ok(())) if completed => Ok(()),
        // The transaction's own end decides.
        _ => Err(of_abort(transaction.error())),
    }
}

/// How far a transaction has come.
struct Progress {
    /// Under way; IndexedDB finishes the requests of a transaction in order: when the last is done, all are.
    requests: Vec<IdbRequest>,
    step: Step,
    outcome: Option<Result<(), StorageError>>,
}

impl Progress {
    fn proceed(&mut self, transaction: &IdbTransaction, handler: Option<&Function>) {
        let results: Result<Vec<JsValue>, _> = self.requests.iter().map(IdbRequest::result).collect();
        let more = results.map_err(|exception| of_exception(&exception)).and_then(|results| (self.step)(&results));
        match more {
            Ok(requests) if requests.is_empty() => self.outcome = Some(Ok(())),
            Ok(requests) => {
                if let Some(last) = requests.last() {
                    last.set_onsuccess(handler);
                }
                self.requests = requests;
            }
            Err(error) => {
                // It fails only where the transaction has been aborted already.
                drop(transaction.abort());
                self.outcome = Some(Err(error));
            }
        }
    }
}

/// Waits for the transaction's last event and tells whether it is complete. Keeps `closures`, which the browser calls, until
/// then, whether the caller waits or not.
pub(super) async fn ended<C: 'static>(transaction: &IdbTransaction, closures: C) -> bool {
    let (tell, told) = oneshot::channel();
    let mut tell = Some(tell);
    let end: Closure<dyn FnMut(Event)> = Closure::new(move |event: Event| {
        if let Some(tell) = tell.take() {
            let _ = tell.send(event.type_() == "complete");
        }
    });
    transaction.set_oncomplete(Some(end.as_ref().unchecked_ref()));
    transaction.set_onabort(Some(end.as_ref().unchecked_ref()));
    let (pass_on, done) = oneshot::channel();
    wasm_bindgen_futures::spawn_local(async move {
        let completed = told.await.unwrap_or(false);
        drop((end, closures));
        let _ = pass_on.send(completed);
    });
    done.await.unwrap_or(false)
}
