//! Names: scopes, collections, records, devices, events.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::environment::Environment;
use crate::error::{Error, InvalidCode};
use crate::limits::MAX_ID_BYTES;
use crate::reading;

/// Declares a validated string name: 1 to [`MAX_ID_BYTES`] bytes, without U+0000.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        reading::text!($name, as_str);

        impl $name {
            /// Checks and wraps `text`.
            ///
            /// # Errors
            /// `invalid_id` if it is empty, longer than [`MAX_ID_BYTES`] bytes or contains U+0000.
            pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
                let text = text.as_ref();
                check_name(stringify!($name), text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A collection of records within a scope. Names that begin with `$` are reserved for Unisono.
    CollectionName
}
name! {
    /// The name of a record within its collection.
    RecordId
}
name! {
    /// One replica's identity towards the server. A copied replica gets a new one when the copy is noticed.
    DeviceId
}
name! {
    /// The identity of one event; unique per scope on the server, in the same transaction as the event's effect.
    EventId
}
name! {
    /// Joins the events of one transaction: applied entirely or not at all.
    GroupId
}

fn check_name(what: &'static str, text: &str) -> Result<(), Error> {
    let problem = if text.is_empty() {
        "is empty"
    } else if text.len() > MAX_ID_BYTES {
        "is longer than 256 bytes"
    } else if text.contains('\0') {
        "contains U+0000"
    } else {
        return Ok(());
    };
    Err(Error::invalid(InvalidCode::Id, format!("{what} {problem}")))
}

impl CollectionName {
    /// Whether the name is reserved for Unisono (`$settings`, `$conflicts`).
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.as_str().starts_with('$')
    }
}

impl EventId {
    /// A new UUIDv7 (RFC 9562 §5.7) from the environment's clock and randomness.
    #[must_use]
    pub fn generate(environment: &dyn Environment) -> Self {
        Self(uuid_v7(environment).into())
    }

    /// Whether it has the form of those that a replica makes: a UUIDv7 in small letters.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let bytes = self.as_str().as_bytes();
        bytes.len() == 36
            && bytes.iter().enumerate().all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => *byte == b'-',
                14 => *byte == b'7',
                19 => b"89ab".contains(byte),
                _ => HEX.contains(byte),
            })
    }
}

impl DeviceId {
    /// A new random identity (UUIDv7).
    #[must_use]
    pub fn generate(environment: &dyn Environment) -> Self {
        Self(uuid_v7(environment).into())
    }
}

impl GroupId {
    /// A new random identity (UUIDv7).
    #[must_use]
    pub fn generate(environment: &dyn Environment) -> Self {
        Self(uuid_v7(environment).into())
    }
}

/// RFC 9562 §5.7: 48 bits of Unix milliseconds, then version, variant and 74 random bits.
fn uuid_v7(environment: &dyn Environment) -> String {
    let mut bytes = [0u8; 16];
    environment.random(&mut bytes[6..]);
    bytes[..6].copy_from_slice(&environment.now_ms().to_be_bytes()[2..]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The unit of replication, permission and ordering.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Private to the signed-in account.
    User,
    /// Shared by the members of a workspace.
    Workspace(std::sync::Arc<str>),
}

impl Scope {
    /// The scope of the workspace named `id`.
    ///
    /// # Errors
    /// `invalid_id`, by the rules of all names.
    pub fn workspace(id: &str) -> Result<Self, Error> {
        check_name("Scope", id)?;
        Ok(Self::Workspace(id.into()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Workspace(id) => write!(f, "workspace:{id}"),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl FromStr for Scope {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.strip_prefix("workspace:") {
            Some(id) => Self::workspace(id),
            None if text == "user" => Ok(Self::User),
            None => Err(Error::invalid(InvalidCode::Id, "a scope is `user` or `workspace:<id>`")),
        }
    }
}

reading::text!(Scope, to_string);

/// A record's name within a scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Record))]
pub struct RecordKey {
    /// The collection.
    pub collection: CollectionName,
    /// The record's id.
    pub record: RecordId,
}

reading::fields!(RecordKey { collection, record });

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.record)
    }
}
