//! JSON Pointers against RFC 6901, read character by character.

use serde_json::{Value, json};
use unisono::limits::{MAX_DEPTH, MAX_KEY_BYTES, MAX_POINTER_BYTES};
use unisono::model::Pointer;

/// Two texts, a line feed between them: each is a pointer exactly if the oracle says so; what it means, how it is written
/// and how two of them stand to each other agree with the oracle and with `serde_json`.
///
/// # Panics
/// If they do not.
pub fn pointer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (one, other) = text.split_once('\n').unwrap_or((text, ""));
    let (one, other) = (check(one), check(other));
    if let (Some((one, keys)), Some((other, other_keys))) = (one, other) {
        let below = keys.len() > other_keys.len() && keys.starts_with(&other_keys);
        let above = other_keys.len() > keys.len() && other_keys.starts_with(&keys);
        assert_eq!(one.is_below(&other), below);
        assert_eq!(other.is_below(&one), above);
        assert_eq!(one.overlaps(&other), below || above || keys == other_keys);
        assert_eq!(one == other, keys == other_keys, "one place has one text");
    }
}

fn check(text: &str) -> Option<(Pointer, Vec<String>)> {
    let expected = keys_of(text).filter(|keys| is_admissible(text, keys));
    let parsed = match Pointer::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert_eq!(error.code(), "invalid_pointer");
            assert_eq!(expected, None, "{text:?} is refused: {error}");
            assert!(serde_json::from_value::<Pointer>(json!(text)).is_err());
            return None;
        }
    };
    let keys = expected.unwrap_or_else(|| panic!("{text:?} is accepted"));
    assert_eq!(parsed.keys().collect::<Vec<_>>(), keys);
    assert_eq!(parsed.as_str(), text);
    assert_eq!(parsed.to_string(), text);
    let stored = serde_json::to_value(&parsed).expect("a pointer serializes");
    assert_eq!(serde_json::from_value::<Pointer>(stored).expect("and comes back"), parsed);

    let (top, below) = keys.split_first().expect("a pointer is not empty");
    let built = below.iter().fold(Pointer::top(top), |place, key| place.child(key));
    assert_eq!(built, parsed, "the keys make the pointer");
    let ancestors = std::iter::successors(parsed.parent(), Pointer::parent);
    assert_eq!(
        ancestors.map(|place| place.keys().count()).collect::<Vec<_>>(),
        (1..keys.len()).rev().collect::<Vec<_>>()
    );

    let doc = keys.iter().rev().fold(json!("here"), |value, key| json!({ key: value }));
    assert_eq!(parsed.find(&doc), Some(&json!("here")));
    assert_eq!(parsed.find(&doc), doc.pointer(text));
    assert_eq!(parsed.find(&json!(["here"])), None, "arrays are leaves");
    assert_eq!(parsed.find(&Value::Null), None);
    Some((parsed, keys))
}

/// The keys by RFC 6901; `None` if `text` is no pointer to a field.
fn keys_of(text: &str) -> Option<Vec<String>> {
    let mut characters = text.chars();
    if characters.next()? != '/' {
        return None;
    }
    let mut keys = vec![String::new()];
    while let Some(character) = characters.next() {
        let key = keys.last_mut()?;
        match character {
            '/' => keys.push(String::new()),
            '~' => key.push(match characters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            }),
            other => key.push(other),
        }
    }
    Some(keys)
}

/// The rules beyond the RFC.
fn is_admissible(text: &str, keys: &[String]) -> bool {
    text.len() <= MAX_POINTER_BYTES
        && keys.len() <= MAX_DEPTH
        && keys.iter().all(|key| key.len() <= MAX_KEY_BYTES && !key.starts_with('$') && !key.contains('\0'))
}
