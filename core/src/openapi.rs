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
    ($($kind:ident: $max:expr, $description:expr;)*) => {$(
        impl PartialSchema for $kind {
            fn schema() -> RefOr<Schema> {
                let object = ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::String))
                    .max_length($max)
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

text! {
    CollectionName: Some(MAX_ID_BYTES), "A collection; names that begin with `$` are reserved.";
    RecordId: Some(MAX_ID_BYTES), "A record's name within its collection.";
    DeviceId: Some(MAX_ID_BYTES), "One replica.";
    EventId: Some(MAX_ID_BYTES), "One event (UUIDv7).";
    GroupId: Some(MAX_ID_BYTES), "One transaction.";
    Scope: None::<usize>, "`user`, or `workspace:<id>`.";
    Stamp: None::<usize>, "Hybrid logical clock: `<12 hex digits of milliseconds>-<4 hex digits of a counter>-<device id>`.";
    Pointer: Some(MAX_POINTER_BYTES), "A JSON Pointer to a field.";
    Cursor: None::<usize>, "An opaque position in a change feed.";
}
