//! Whether values fit the fields that they are for.

use serde::Serialize;

use super::fields::{Field, Form, Kind};
use super::names::{DEVICE, Document};
use crate::model::{OpKind, SyncAction, SyncEvent, Value};

/// Bytes of a name in a list or an object of switches.
const MAX_NAME_BYTES: usize = 256;

/// A value that does not fit its field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
pub struct FieldError {
    /// Where, as a JSON Pointer into the document.
    pub path: String,
    /// Which rule it breaks.
    pub rule: FieldRule,
    /// What is allowed, in words: `5 to 86400`, `one of light, dark, system`.
    pub allowed: String,
}

/// What a value breaks. The names are stable codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldRule {
    /// It is of another type.
    Type,
    /// It is too small or too great.
    Range,
    /// It is none of the words that are allowed.
    Choice,
    /// It is too long, or has too many members.
    Length,
    /// It does not have the form that is asked for.
    Format,
}

/// Why a record of `$settings` is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such document.
    #[error(
        "`{0}` is no record of settings: there are `profile`, `preferences`, `group:<name>` and `device:<device id>`"
    )]
    UnknownRecord(String),
    /// Settings are assigned and reset, not counted.
    #[error("settings are assigned or reset; the operation at {0} is another")]
    Operation(String),
    /// A value does not fit.
    #[error("{}", describe(.0))]
    Values(Vec<FieldError>),
}

/// Says which values do not fit, in one line.
pub(crate) fn describe(errors: &[FieldError]) -> String {
    let lines: Vec<_> = errors.iter().map(|error| format!("{}: allowed is {}", error.path, error.allowed)).collect();
    lines.join("; ")
}

/// Holds an event on `$settings` to what is documented. Members that are not known are taken as they are.
///
/// # Errors
/// What does not fit.
pub fn check_event(event: &SyncEvent) -> Result<(), Refusal> {
    let name = event.record.as_str();
    let on_device = name.strip_prefix(DEVICE).is_some_and(|device| !device.is_empty());
    let document = Document::of_record(name);
    if !on_device && document.is_none() {
        return Err(Refusal::UnknownRecord(name.to_owned()));
    }
    if event.action == SyncAction::Delete {
        return Ok(());
    }
    let mut errors = Vec::new();
    let mut check = |value: &Value| match &document {
        Some(document) => errors.extend(check_values(document.fields(), value)),
        None => {
            for document in [Document::Profile, Document::Preferences] {
                let place = document.within_device()[0];
                if let Some(value) = value.get(place) {
                    let within = check_values(document.fields(), value);
                    errors.extend(
                        within.into_iter().map(|error| FieldError { path: format!("/{place}{}", error.path), ..error }),
                    );
                }
            }
        }
    };
    if let Some(doc) = &event.doc {
        check(doc);
    }
    for op in &event.ops {
        match &op.kind {
            OpKind::Unset => {}
            OpKind::Set { value } => {
                let names: Vec<_> = op.path.keys().collect();
                let within = |below, name: &std::borrow::Cow<'_, str>| {
                    Value::Object(std::iter::once((name.to_string(), below)).collect())
                };
                check(&names.iter().rev().fold(value.clone(), within));
            }
            _ => return Err(Refusal::Operation(op.path.as_str().to_owned())),
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Values(errors)) }
}

/// Which values of `document` do not fit their `fields`. `null` fits everywhere: it stands for "not chosen".
#[must_use]
pub fn check_values(fields: &[Field], document: &Value) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = Vec::new();
    for field in fields {
        let (path, fault) = match find(document, field.path) {
            Ok(value) => (field.path, broken(field.kind, value)),
            Err(above) => (above, Some((FieldRule::Type, "an object".to_owned()))),
        };
        // What is wrong above several fields is told once.
        if let Some((rule, allowed)) = fault
            && errors.iter().all(|known| known.path != path)
        {
            errors.push(FieldError { path: path.to_owned(), rule, allowed });
        }
    }
    errors
}

/// The value at `path`, `null` if there is none.
///
/// # Errors
/// The place above it that holds something else than an object.
fn find<'v, 'p>(document: &'v Value, path: &'p str) -> Result<&'v Value, &'p str> {
    let (mut place, mut end) = (document, 0);
    for name in path.split('/').skip(1) {
        match place {
            Value::Null => break,
            Value::Object(members) => place = members.get(name).unwrap_or(&Value::Null),
            _ => return Err(&path[..end]),
        }
        end += 1 + name.len();
    }
    Ok(place)
}

/// Which rule of `kind` the value breaks, and what would be allowed.
fn broken(kind: Kind, value: &Value) -> Option<(FieldRule, String)> {
    let fault = |rule, allowed: String| Some((rule, allowed));
    match kind {
        _ if value.is_null() => None,
        Kind::Switch if value.is_boolean() => None,
        Kind::Switch => fault(FieldRule::Type, "true or false".into()),
        Kind::Integer { min, max } => {
            let allowed = format!("a whole number, {min} to {max}");
            match value.as_i64() {
                Some(number) if (min..=max).contains(&number) => None,
                Some(_) => fault(FieldRule::Range, allowed),
                None if value.is_u64() => fault(FieldRule::Range, allowed),
                None => fault(FieldRule::Type, allowed),
            }
        }
        Kind::Choice(words) => {
            let allowed = format!("one of {}", words.join(", "));
            match value.as_str() {
                Some(word) if words.contains(&word) => None,
                Some(_) => fault(FieldRule::Choice, allowed),
                None => fault(FieldRule::Type, allowed),
            }
        }
        Kind::Text(most, form) => match value.as_str() {
            None => fault(FieldRule::Type, form.described(most)),
            Some(text) if text.chars().count() > most => fault(FieldRule::Length, form.described(most)),
            Some(text) if !form.fits(text) => fault(FieldRule::Format, form.described(most)),
            Some(_) => None,
        },
        Kind::Names(most) => {
            let allowed = format!("an array of at most {most} different names of 1 to {MAX_NAME_BYTES} bytes");
            let Value::Array(names) = value else { return fault(FieldRule::Type, allowed) };
            if names.len() > most {
                return fault(FieldRule::Length, allowed);
            }
            let good = names
                .iter()
                .enumerate()
                .all(|(at, name)| name.as_str().is_some_and(is_name) && !names[..at].contains(name));
            if good { None } else { fault(FieldRule::Format, allowed) }
        }
        Kind::Switches(most) => {
            let allowed = format!("an object of at most {most} members, each true or false");
            let Value::Object(members) = value else { return fault(FieldRule::Type, allowed) };
            if members.len() > most {
                return fault(FieldRule::Length, allowed);
            }
            let good = members.iter().all(|(name, on)| is_name(name) && (on.is_boolean() || on.is_null()));
            if good { None } else { fault(FieldRule::Format, allowed) }
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
}

impl Form {
    fn described(self, most: usize) -> String {
        match self {
            Self::Any => format!("a text of at most {most} characters"),
            Self::Email => "an e-mail address".into(),
            Self::WebAddress => "an address that begins with http:// or https://".into(),
            Self::LanguageTag => "a language tag such as en or pt-BR".into(),
            Self::Colour => "a colour as #rrggbb".into(),
            Self::TimeOfDay => "a time of day as hh:mm".into(),
            Self::TimeZone => "a time zone such as Europe/Berlin or UTC".into(),
        }
    }

    fn fits(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Email => {
                text.split_once('@')
                    .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
                    && !text.contains(char::is_whitespace)
            }
            Self::WebAddress => {
                ["http://", "https://"].iter().any(|scheme| {
                    text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
                }) && !text.contains(char::is_whitespace)
            }
            Self::LanguageTag => text
                .split('-')
                .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())),
            Self::Colour => text
                .strip_prefix('#')
                .is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|digit| digit.is_ascii_hexdigit())),
            Self::TimeOfDay => text.split_once(':').is_some_and(|(hour, minute)| {
                let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
                digits(hour) && digits(minute) && hour < "24" && minute < "60"
            }),
            Self::TimeZone => text.split('/').all(|part| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
            }),
        }
    }
}
