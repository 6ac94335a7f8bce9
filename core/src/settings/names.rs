//! What the records of `$settings` are called.

use std::fmt;

use super::fields::{Field, PREFERENCES, PROFILE};
use crate::error::{Error, InvalidCode, Result};
use crate::model::{DeviceId, RecordId};

/// The collection of settings, in the user's own scope and in workspaces.
pub const SETTINGS: &str = "$settings";
/// Before a device's id, in the name of the record with what holds on that device only.
pub const DEVICE: &str = "device:";
/// Before a group's name, in the name of its record.
pub const GROUP: &str = "group:";

const PROFILE_RECORD: &str = "profile";
const PREFERENCES_RECORD: &str = "preferences";
const GROUPS: &str = "groups";

/// A document of settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    /// Who the user is.
    Profile,
    /// What the user prefers.
    Preferences,
    /// Settings of the app's own, by the group's name.
    Group(String),
}

impl Document {
    /// The app's own group `name`.
    ///
    /// # Errors
    /// `invalid_id` if the name is empty, longer than 128 bytes, or not of letters, digits, `_`, `-` and `.` only.
    pub fn group(name: &str) -> Result<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(plain) {
            return Err(Error::invalid(
                InvalidCode::Id,
                format!("a group's name has 1 to 128 letters, digits, `_`, `-` or `.`; it is {name:?}"),
            ));
        }
        Ok(Self::Group(name.to_owned()))
    }

    /// The document that a record of this name holds at the levels of user and workspace; `None` for any other.
    #[must_use]
    pub fn of_record(name: &str) -> Option<Self> {
        match name {
            PROFILE_RECORD => Some(Self::Profile),
            PREFERENCES_RECORD => Some(Self::Preferences),
            _ => Self::group(name.strip_prefix(GROUP)?).ok(),
        }
    }

    /// The record that holds it at the levels of user and workspace.
    ///
    /// # Errors
    /// None: every document's name is a good one.
    pub fn record(&self) -> Result<RecordId> {
        RecordId::new(self.to_string())
    }

    /// The record that holds what is set for one device.
    ///
    /// # Errors
    /// `invalid_id` if the device's name leaves no room.
    pub fn device_record(device: &DeviceId) -> Result<RecordId> {
        RecordId::new(format!("{DEVICE}{device}"))
    }

    /// Where the document stands in a device's record: the members to go down.
    #[must_use]
    pub fn within_device(&self) -> Vec<&str> {
        match self {
            Self::Profile => vec![PROFILE_RECORD],
            Self::Preferences => vec![PREFERENCES_RECORD],
            Self::Group(name) => vec![GROUPS, name],
        }
    }

    /// The fields that are known of it; none of an app's own group.
    #[must_use]
    pub fn fields(&self) -> &'static [Field] {
        match self {
            Self::Profile => PROFILE,
            Self::Preferences => PREFERENCES,
            Self::Group(_) => &[],
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile => f.write_str(PROFILE_RECORD),
            Self::Preferences => f.write_str(PREFERENCES_RECORD),
            Self::Group(name) => write!(f, "{GROUP}{name}"),
        }
    }
}
