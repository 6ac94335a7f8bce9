//! Keys, ranges and values in IndexedDB's terms.

use std::ops::Bound;

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::IdbKeyRange;

use super::error::of_exception;
use crate::storage::{Row, StorageError};

/// A binary key.
pub(super) fn key(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

/// A row's stored form.
pub(super) fn value(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

/// Reads a row back.
pub(super) fn row(key: Vec<u8>, stored: &JsValue) -> Row {
    Row { key, value: bytes(stored) }
}

/// The bytes of a key (the browser gives an `ArrayBuffer`) or a value.
pub(super) fn bytes(array: &JsValue) -> Vec<u8> {
    match array.dyn_ref::<Uint8Array>() {
        Some(array) => array.to_vec(),
        None => Uint8Array::new(array).to_vec(),
    }
}

/// What a scan asks for.
pub(super) enum Range {
    /// No key lies in it; IndexedDB would refuse to hear of some of these.
    Empty,
    /// Every key.
    All,
    /// Some.
    Some(IdbKeyRange),
}

impl Range {
    /// The keys between two bounds.
    pub(super) fn new(lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> Result<Self, StorageError> {
        let empty = match (lower, upper) {
            (Bound::Included(low), Bound::Included(high)) => low > high,
            (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low >= high,
            _ => false,
        };
        if empty {
            return Ok(Self::Empty);
        }
        let end = |bound: &Bound<Vec<u8>>| match bound {
            Bound::Included(bytes) => Some((key(bytes), false)),
            Bound::Excluded(bytes) => Some((key(bytes), true)),
            Bound::Unbounded => None,
        };
        let range = match (end(lower), end(upper)) {
            (None, None) => return Ok(Self::All),
            (Some((low, open)), None) => IdbKeyRange::lower_bound_with_open(&low, open),
            (None, Some((high, open))) => IdbKeyRange::upper_bound_with_open(&high, open),
            (Some((low, low_open)), Some((high, high_open))) => {
                IdbKeyRange::bound_with_lower_open_and_upper_open(&low, &high, low_open, high_open)
            }
        };
        range.map(Self::Some).map_err(|exception| of_exception(&exception))
    }

    /// The range as a request's argument; `undefined` asks for every key.
    pub(super) fn query(&self) -> JsValue {
        match self {
            Self::Some(range) => range.clone().into(),
            Self::All | Self::Empty => JsValue::UNDEFINED,
        }
    }
}
