//! The fields that the SDK knows, as data: what they may be, and what holds while nobody has chosen.

/// A field of a settings document.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Where it stands, as a JSON Pointer.
    pub path: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What holds while nobody has chosen, as JSON; `null` for nothing.
    pub default: &'static str,
}

/// What a field may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number within bounds, both included.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A text of at most so many characters (Unicode code points), of a form.
    Text(usize, Form),
    /// An array of at most so many different names, each of 1 to 256 bytes.
    Names(usize),
    /// An object of at most so many switches by name.
    Switches(usize),
}

/// The form of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any.
    Any,
    /// Anything with one `@` between two parts, as an address of e-mail. Whether it exists only a message to it can tell.
    Email,
    /// An absolute address of the web: `http://` or `https://`.
    WebAddress,
    /// A language tag: subtags of 1 to 8 letters or digits, joined by `-` (the shape of RFC 5646, section 2.1).
    LanguageTag,
    /// A colour, `#rrggbb`.
    Colour,
    /// A time of day, `hh:mm`.
    TimeOfDay,
    /// A name of the time zone database: `Area/City`, or `UTC`.
    TimeZone,
}

const fn field(path: &'static str, kind: Kind, default: &'static str) -> Field {
    Field { path, kind, default }
}

/// Who the user is.
pub const PROFILE: &[Field] = &[
    field("/username", Kind::Text(64, Form::Any), "null"),
    field("/email", Kind::Text(254, Form::Email), "null"),
    field("/avatar_url", Kind::Text(2048, Form::WebAddress), "null"),
    field("/bio", Kind::Text(1000, Form::Any), "null"),
];

/// What the user prefers.
pub const PREFERENCES: &[Field] = &[
    field("/analysis/default_level", Kind::Choice(&["quick", "standard", "detailed"]), r#""standard""#),
    field("/analysis/auto_analyze_on_upload", Kind::Switch, "true"),
    field("/analysis/detect_tempo", Kind::Switch, "true"),
    field("/analysis/detect_key", Kind::Switch, "true"),
    field("/analysis/detect_genre", Kind::Switch, "false"),
    field("/analysis/engine", Kind::Text(64, Form::Any), r#""default""#),
    field("/ui/theme", Kind::Choice(&["light", "dark", "system"]), r#""system""#),
    field("/ui/language", Kind::Text(35, Form::LanguageTag), r#""en""#),
    field("/ui/compact", Kind::Switch, "false"),
    field("/ui/waveform_color", Kind::Text(7, Form::Colour), r##""#4a90d9""##),
    field("/ui/sidebar", Kind::Choice(&["expanded", "collapsed", "hidden"]), r#""expanded""#),
    field("/notifications/email", Kind::Switch, "true"),
    field("/notifications/push", Kind::Switch, "true"),
    field("/notifications/in_app", Kind::Switch, "true"),
    field("/notifications/events", Kind::Switches(64), "{}"),
    field("/notifications/quiet_hours/enabled", Kind::Switch, "false"),
    field("/notifications/quiet_hours/from", Kind::Text(5, Form::TimeOfDay), r#""22:00""#),
    field("/notifications/quiet_hours/to", Kind::Text(5, Form::TimeOfDay), r#""07:00""#),
    field("/notifications/quiet_hours/time_zone", Kind::Text(64, Form::TimeZone), r#""UTC""#),
    field("/cloud_sync/enabled", Kind::Switch, "true"),
    field("/cloud_sync/interval_s", Kind::Integer { min: 5, max: 86_400 }, "60"),
    field("/cloud_sync/collections", Kind::Names(256), "null"),
    field("/cloud_sync/wifi_only", Kind::Switch, "false"),
    field(
        "/cloud_sync/default_policy",
        Kind::Choice(&["last_write_wins", "server_wins", "client_wins", "delete_wins", "update_wins"]),
        r#""last_write_wins""#,
    ),
];
