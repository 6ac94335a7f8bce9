//! How deep a JSON text is nested, before anything recurses into it.

/// Whether brackets nest at most `limit` deep. Says nothing of whether the text is JSON.
pub(super) fn is_within(text: &[u8], limit: usize) -> bool {
    let mut depth = 0usize;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                // To the end of the string; an escape hides the byte after it.
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn brackets_count_and_brackets_in_strings_do_not() {
        for (text, depth) in [
            ("1", 0),
            ("[]", 1),
            ("{\"a\":[1,{}]}", 3),
            ("[[],[],[]]", 2),
            (r#""[[[[""#, 0),
            (r#"["\"[[[", "\\", []]"#, 2),
            (r#"{"[\\\"{": {}}"#, 2),
            ("]]]][", 1),
            ("\"unended [[[", 0),
            ("\"ended by its escape\\", 0),
        ] {
            assert!(is_within(text.as_bytes(), depth), "{text}");
            assert!(depth == 0 || !is_within(text.as_bytes(), depth - 1), "{text}");
        }
    }

    #[test]
    fn a_bomb_of_brackets_is_refused_without_recursion() {
        assert!(!is_within(&vec![b'['; 4 << 20], 96));
    }

    fn depth_of(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(depth_of).max().unwrap_or(0),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_parser(value in any::<String>().prop_map(Value::from).prop_recursive(6, 40, 4, |inner| prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| Value::from(serde_json::Map::from_iter(map))),
        ])) {
            let (text, depth) = (value.to_string(), depth_of(&value));
            prop_assert!(is_within(text.as_bytes(), depth));
            prop_assert!(depth == 0 || !is_within(text.as_bytes(), depth - 1));
        }
    }
}
