//! How the types of the protocol and of the stored rows are read from JSON.
//!
//! What serde derives repeats for every field of every type what is alike for all of them, takes arrays for objects, and
//! buffers whole objects where a type is flattened into another: it was a sixth of what a browser downloads. Here the
//! common part stands once, and a type says only which fields it has. The rules are those of the derived readers: fields come
//! in any order, unknown ones are ignored, and one that is missing or comes twice is an error. Fields are looked for where the one
//! before was found, so that what serde has written is read without a search.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// A type that is made of an object's fields; [`fields!`] says of which.
pub trait FromFields: Sized {
    /// Reads the fields.
    fn from_fields<'de, A: MapAccess<'de>>(fields: A) -> Result<Self, A::Error>;
}

/// Reads an object.
pub fn object<'de, T: FromFields, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: FromFields> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
            T::from_fields(fields)
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

/// Reads a value that is a text in JSON.
pub fn from_text<'de, T: FromStr<Err: fmt::Display>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Text<T>(PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(PhantomData))
}

/// Reads one of `names` as its place among them; another one is an error, or has the place after the last.
pub fn name<'de, D: Deserializer<'de>>(
    deserializer: D,
    names: &'static [&'static str],
    others: bool,
) -> Result<usize, D::Error> {
    struct Name(&'static [&'static str], bool);

    impl Visitor<'_> for Name {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
            let Self(names, others) = self;
            let at = names.iter().position(|name| *name == text).or(others.then_some(names.len()));
            at.ok_or_else(|| E::unknown_variant(text, names))
        }
    }

    deserializer.deserialize_str(Name(names, others))
}

/// The names of an object's fields, 32 at most, and which of them have come.
pub struct Keys {
    names: &'static [&'static str],
    come: u32,
    /// Where the next one is expected.
    next: usize,
}

impl Keys {
    /// Those of an object of which nothing was read.
    pub const fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() <= 32);
        Self { names, come: 0, next: 0 }
    }

    /// The place of the next field whose name is known; what others hold is passed over.
    pub fn next<'de, A: MapAccess<'de>>(&mut self, fields: &mut A) -> Result<Option<usize>, A::Error> {
        while let Some(at) = fields.next_key_seed(&mut *self)? {
            if at < self.names.len() {
                return Ok(Some(at));
            }
            fields.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Keys {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for &mut Keys {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        let count = self.names.len();
        let found = (self.next..count).chain(0..self.next).find(|at| self.names[*at] == name);
        let Some(at) = found else { return Ok(count) };
        if self.come & (1 << at) != 0 {
            return Err(E::duplicate_field(self.names[at]));
        }
        self.come |= 1 << at;
        self.next = at + 1;
        Ok(at)
    }
}

/// Reads a field's value into its place.
pub fn field<'de, T, A>(place: &mut Option<T>, fields: &mut A) -> Result<(), A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    *place = Some(fields.next_value()?);
    Ok(())
}

/// Reads a field's value into its place, `null` too: to have it is another thing than to lack it.
pub fn present<'de, T, A>(place: &mut Option<Option<T>>, fields: &mut A) -> Result<(), A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    *place = Some(Some(fields.next_value()?));
    Ok(())
}

/// Declares how a type is read from an object.
///
/// A field that may be absent says what it is then: `ops = Vec::new()`. One with another name in JSON says which: `doc as
/// "d"`. One that is not read as its type is says by which function: `bytes by counter`, of the form of [`field`]. Where the type's
/// fields are not the object's, `=> expression` says how it is made of them. (serde's `default` on a field is for the
/// TypeScript and OpenAPI declarations that are derived of the type.)
macro_rules! fields {
    ($type:ty { $($field:ident $(as $name:literal)? $(by $how:path)? $(= $absent:expr)?),* $(,)? }) => {
        $crate::reading::fields!($type {
            $($field $(as $name)? $(by $how)? $(= $absent)?),*
        } => Self { $($field),* });
    };
    ($type:ty { $($field:ident $(as $name:literal)? $(by $how:path)? $(= $absent:expr)?),* $(,)? } => $made:expr) => {
        impl $crate::reading::FromFields for $type {
            fn from_fields<'de, A: serde::de::MapAccess<'de>>(mut fields: A) -> Result<Self, A::Error> {
                #[expect(non_camel_case_types, reason = "named as the fields are")]
                enum At { $($field),* }
                let mut keys = $crate::reading::Keys::new(&[$($crate::reading::fields!(@name $field $($name)?)),*]);
                $(let mut $field = None;)*
                while let Some(at) = keys.next(&mut fields)? {
                    $(if at == At::$field as usize {
                        $crate::reading::fields!(@how $($how)?)(&mut $field, &mut fields)?;
                    })*
                }
                $(let $field = $crate::reading::fields!(@value
                    $field ($crate::reading::fields!(@name $field $($name)?)) $($absent)?
                );)*
                Ok($made)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::reading::object(deserializer)
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    (@how) => { $crate::reading::field };
    (@how $how:path) => { $how };
    (@value $field:ident ($name:expr)) => { $field.ok_or_else(|| serde::de::Error::missing_field($name))? };
    (@value $field:ident ($name:expr) $absent:expr) => { $field.unwrap_or_else(|| $absent) };
}

/// Declares how a type whose values are names is read: `names!(Mode { Merge "merge", Strict "strict" })`. With `else Other`, that is what
/// unknown names are read as.
macro_rules! names {
    ($type:ident { $($variant:ident $name:literal),* $(,)? } $(else $other:ident)?) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const VARIANTS: &[$type] = &[$($type::$variant,)* $($type::$other)?];
                const NAMES: &[&str] = &[$($name),*];
                $crate::reading::name(deserializer, NAMES, VARIANTS.len() > NAMES.len()).map(|at| VARIANTS[at])
            }
        }
    };
}

/// Declares that a type is a text in JSON: written as a method of it says, and read by `FromStr`.
macro_rules! text {
    ($type:ty, $written:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.$written())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::reading::from_text(deserializer)
            }
        }
    };
}

pub(crate) use {fields, names, text};

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::model::{Mode, Op, OpKind, TextComponent, TextEdit};

    #[derive(Debug, PartialEq)]
    struct Sample {
        name: String,
        bpm: Option<u32>,
        note: Option<Option<Value>>,
        tags: Vec<String>,
    }

    fields!(Sample { name, bpm = None, note as "n" by crate::reading::present = None, tags = vec!["new".to_owned()] });

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Kind {
        Kick,
        Snare,
        Other,
    }

    names!(Kind { Kick "kick", Snare "snare" } else Other);

    /// Read from text, and from a tree.
    fn read<T: serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str) -> Result<T, String> {
        let read = serde_json::from_slice::<T>(text.as_bytes()).map_err(|error| error.to_string());
        if let (Ok(read), Ok(tree)) = (&read, serde_json::from_str::<Value>(text)) {
            assert_eq!(T::deserialize(tree).as_ref().ok(), Some(read), "{text}");
        }
        read
    }

    #[test]
    fn fields_come_in_any_order_beside_unknown_ones_or_not_at_all() {
        let full = Sample { name: "a".into(), bpm: Some(7), note: Some(Some(json!([1]))), tags: vec!["x".into()] };
        let fields = [r#""name":"a""#, r#""bpm":7"#, r#""n":[1]"#, r#""tags":["x"]"#];
        for first in 0..4 {
            for second in (0..4).filter(|at| *at != first) {
                let mut order = vec![fields[first], r#""later":{"n":[null,{"name":1}]}"#, fields[second]];
                order.extend((0..4).filter(|at| ![first, second].contains(at)).map(|at| fields[at]));
                assert_eq!(read::<Sample>(&format!("{{{}}}", order.join(","))).unwrap(), full, "{order:?}");
            }
        }
        let bare = Sample { name: "a".into(), bpm: None, note: None, tags: vec!["new".into()] };
        assert_eq!(read::<Sample>(r#"{"name":"a"}"#).unwrap(), bare);
        assert_eq!(read::<Sample>(r#"{"bpm":null,"name":"a"}"#).unwrap(), bare);
        // Of a field that is read by `present`, null is a value.
        assert_eq!(read::<Sample>(r#"{"name":"a","n":null}"#).unwrap(), Sample { note: Some(None), ..bare });
    }

    #[test]
    fn what_is_missing_double_or_of_another_form_is_an_error() {
        for (text, why) in [
            ("{}", "missing field `name`"),
            (r#"{"bpm":1,"n":2}"#, "missing field `name`"),
            (r#"{"name":"a","bpm":1,"bpm":1}"#, "duplicate field `bpm`"),
            (r#"{"name":"a","n":null,"n":null}"#, "duplicate field `n`"),
            (r#"{"name":null}"#, "invalid type: null"),
            (r#"{"name":"a","bpm":-1}"#, "invalid value"),
            (r#"["a",1,null,[]]"#, "expected an object"),
            (r#""name""#, "expected an object"),
            (r#"{"name":"a""#, "EOF"),
        ] {
            let error = read::<Sample>(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn names_are_read_as_themselves_and_unknown_ones_as_the_type_says() {
        for (text, kind) in [("kick", Kind::Kick), ("snare", Kind::Snare), ("", Kind::Other), ("Kick", Kind::Other)] {
            assert_eq!(read::<Kind>(&format!("\"{text}\"")), Ok(kind));
        }
        let error = read::<Mode>(r#""lenient""#).unwrap_err();
        assert!(error.contains("unknown variant `lenient`, expected `merge` or `strict`"), "{error}");
        for text in ["0", "null", r#"{"merge":null}"#, r#"["merge"]"#] {
            assert!(read::<Mode>(text).is_err() && read::<Kind>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_operation_needs_the_fields_of_its_kind_and_no_others() {
        let set = |value: Value| OpKind::Set { value };
        for (fields, kind) in [
            (r#""op":"set","value":null"#, set(Value::Null)),
            (r#""value":[{"op":"inc"}],"op":"set","by":1"#, set(json!([{"op": "inc"}]))),
            (r#""op":"unset","value":3"#, OpKind::Unset),
            (r#""by":-7,"op":"inc""#, OpKind::Inc { by: -7 }),
            (r#""op":"add","values":[1]"#, OpKind::Add { values: vec![json!(1)] }),
            (r#""op":"remove","values":[]"#, OpKind::Remove { values: vec![] }),
        ] {
            let text = format!(r#"{{{fields},"path":"/a","base":4}}"#);
            let op = Op { path: "/a".parse().unwrap(), kind, base: Some(4), stamp: None };
            assert_eq!(read::<Op>(&text).unwrap(), op, "{text}");
        }
        for fields in [
            r#""op":"set""#,
            r#""op":"inc""#,
            r#""op":"inc","by":1.5"#,
            r#""op":"add","value":1"#,
            r#""op":"remove""#,
            r#""op":"text""#,
            r#""op":"twirl""#,
            r#""value":1"#,
        ] {
            assert!(read::<Op>(&format!(r#"{{"path":"/a",{fields}}}"#)).is_err(), "{fields}");
        }
        let edit = vec![TextComponent::Skip(5), TextComponent::Insert("é".into()), TextComponent::Delete { d: 3 }];
        assert_eq!(read::<TextEdit>(r#"[5,"é",{"d":3,"by":1}]"#), Ok(TextEdit(edit)));
        for text in ["[-1]", "[1.5]", "[null]", "[[1]]", "[{}]", r#"[{"d":"3"}]"#] {
            assert!(read::<TextEdit>(text).is_err(), "{text}");
        }
    }
}
