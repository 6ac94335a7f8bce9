//! OpenAPI schemas of the types whose JSON form is not their Rust form. All others derive theirs.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::clock::Stamp;
use crate::limits::{MAX_ID_BYTES, MAX_POINTER_BYTES};
use crate::model::{CollectionName, DeviceId, EventId, GroupId, Pointer, RecordId, Scope};
use crate::protocol::Cursor;

/// Declares the schema of a type that is a string in JSON.
macro_rules! text {
    ($($kind:ident: $min:expr, $max:expr, $pattern:expr, $description:expr;)*) => {$(
        impl PartialSchema for $kind {
            fn schema() -> RefOr<Schema> {
                let object = ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::String))
                    .min_length($min)
                    .max_length($max)
                    .pattern($pattern)
                    .description(Some($description));
                RefOr::T(Schema::Object(object.build()))
            }
        }
        impl ToSchema for $kind {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($kind))
            }
        }
    )*};
}

/// What a name is made of: anything but U+0000.
const NAME: Option<&str> = Some(r"^[^\x00]+$");
const NO_PATTERN: Option<&str> = None;

text! {
    CollectionName: Some(1), Some(MAX_ID_BYTES), NAME, "A collection; names that begin with `$` are reserved.";
    RecordId: Some(1), Some(MAX_ID_BYTES), NAME, "A record's name within its collection.";
    DeviceId: Some(1), Some(MAX_ID_BYTES), NAME, "One replica.";
    EventId: Some(1), Some(MAX_ID_BYTES), NAME, "One event (UUIDv7).";
    GroupId: Some(1), Some(MAX_ID_BYTES), NAME, "One transaction.";
    Scope: Some(4), Some("workspace:".len() + MAX_ID_BYTES), Some(r"^(user|workspace:[^\x00]+)$"), "`user`, or `workspace:<id>`.";
    Stamp: Some(18), None::<usize>, Some(r"^[0-9a-f]{12}-[0-9a-f]{4}-[^\x00]+$"), "Hybrid logical clock: `<12 hex digits of milliseconds>-<4 hex digits of a counter>-<device id>`.";
    Pointer: Some(1), Some(MAX_POINTER_BYTES), Some("^/"), "A JSON Pointer to a field.";
    Cursor: None::<usize>, None::<usize>, NO_PATTERN, "An opaque position in a change feed.";
}
