//! A transaction from its first request to its end, driven from event callbacks.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::oneshot;
use wasm_bindgen::prelude::*;
use web_sys::{Event, IdbRequest, IdbTransaction};

use super::error::{of_abort, of_exception};
use crate::storage::StorageError;

/// Waits for `transaction` to end. Its first requests, `first`, are under way; when all have succeeded, `then` reads their
/// results and may ask for more, within the last one's event. An error of `then` aborts the transaction.
///
/// The transaction goes its way even if the caller stops waiting.
///
/// # Errors
/// What `then` says; else why the transaction was aborted.
pub(super) async fn run<T: 'static>(
    transaction: IdbTransaction,
    first: Vec<IdbRequest>,
    then: impl FnOnce(&[JsValue]) -> Result<T, StorageError> + 'static,
) -> Result<T, StorageError> {
    let value = Rc::new(RefCell::new(None));
    let kept = value.clone();
    let then = move |results: &[JsValue]| {
        *kept.borrow_mut() = Some(then(results)?);
        Ok(())
    };
    drive(transaction, first, Box::new(then)).await?;
    let value = value.borrow_mut().take();
    value.ok_or_else(|| StorageError::Io("a transaction was completed without its work".into()))
}

/// What is done with the first results.
type Then = Box<dyn FnOnce(&[JsValue]) -> Result<(), StorageError>>;

/// [`run`], whatever `then` makes of the results.
async fn drive(transaction: IdbTransaction, first: Vec<IdbRequest>, then: Then) -> Result<(), StorageError> {
    let outcome: Rc<RefCell<Option<Result<(), StorageError>>>> = Rc::default();
    let work = {
        let (outcome, transaction) = (Rc::clone(&outcome), transaction.clone());
        move |requests: &[IdbRequest]| {
            // IndexedDB finishes the requests of a transaction in order: when the last is done, all are.
            let results: Result<Vec<JsValue>, _> = requests.iter().map(IdbRequest::result).collect();
            let result = results.map_err(|exception| of_exception(&exception)).and_then(|results| then(&results));
            if result.is_err() {
                // It fails only where the transaction has been aborted already.
                drop(transaction.abort());
            }
            *outcome.borrow_mut() = Some(result);
        }
    };
    let succeeded = match first.last().cloned() {
        Some(last) => {
            let succeeded = Closure::once(move || work(&first));
            last.set_onsuccess(Some(succeeded.as_ref().unchecked_ref()));
            Some(succeeded)
        }
        None => {
            work(&[]);
            None
        }
    };
    let completed = ended(&transaction, succeeded).await;
    let said = outcome.borrow_mut().take();
    match said {
        Some(Err(error)) => Err(error),
        Some(Ok(())) if completed => Ok(()),
        // The transaction's own end decides.
        _ => Err(of_abort(transaction.error())),
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
