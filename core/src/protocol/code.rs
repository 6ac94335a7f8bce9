//! The codes of refused requests: the one list of them. Routes answer with them, clients match on them, the OpenAPI document and
//! section 13 of the protocol list them, and tests compare these.

/// Declares the codes: name, status, text, meaning.
macro_rules! codes {
    ($($name:ident = $status:literal $text:literal: $meaning:literal;)*) => {
        /// Why a request was refused.
        ///
        /// A client reads codes as text ([`Problem::code`](super::Problem::code)): a newer server may have some that it does not
        /// know, and treats them by their status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ProblemCode {
            $(#[doc = $meaning] $name,)*
        }

        impl ProblemCode {
            /// All of them, by status.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it stands in documents.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// The HTTP status that it goes with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status),* }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning),* }
            }
        }
    };
}

codes! {
    InvalidJson = 400 "invalid_json": "The body is not JSON.";
    InvalidRequest = 400 "invalid_request": "The body is not of the request's shape, or a field of it is out of range.";
    InvalidQuery = 400 "invalid_query": "The query is not of the request's shape, or a parameter is out of range.";
    InvalidProtocolHeader = 400 "invalid_protocol_header": "`Unisono-Protocol` has not its form.";
    NestingTooDeep = 400 "nesting_too_deep": "The body is nested too deeply to be read at all.";
    InvalidEncoding = 400 "invalid_encoding": "The body does not unpack by its `Content-Encoding`.";
    CompressionRatio = 400 "compression_ratio": "The body unfolds like a decompression bomb.";
    BodyIncomplete = 400 "body_incomplete": "The body broke off before its end.";
    MalformedEvent = 400 "malformed_event": "An event has no readable id.";
    InvalidCursor = 400 "invalid_cursor": "A cursor that this server did not sign for this scope.";
    InvalidIdempotencyKey = 400 "invalid_idempotency_key": "`Idempotency-Key` is no name of an event.";
    AuthRequired = 401 "auth_required": "There is no credential, or it is not accepted.";
    IdentityMismatch = 403 "identity_mismatch": "`account` is not the credential's subject.";
    Forbidden = 403 "forbidden": "The credential does not permit this.";
    NotFound = 404 "not_found": "There is no such route.";
    ScopeNotFound = 404 "scope_not_found": "There is no such scope for this caller.";
    ValueNotFound = 404 "value_not_found": "The note does not refer to such a value, or not any more.";
    ApiKeyNotFound = 404 "api_key_not_found": "The account has no such API key.";
    MethodNotAllowed = 405 "method_not_allowed": "The route does not have this method.";
    RequestTimeout = 408 "request_timeout": "The request came too slowly.";
    EpochChanged = 409 "epoch_changed": "The server's history is another one than the replica's.";
    DeviceForked = 409 "device_forked": "Another replica pushes under this device id.";
    TooManyApiKeys = 409 "too_many_api_keys": "The account has as many API keys as it may have.";
    CursorExpired = 410 "cursor_expired": "Deletes that the replica has not heard of were dropped.";
    PreconditionFailed = 412 "precondition_failed": "The document is not the one that `If-Match` names.";
    PushTooLarge = 413 "push_too_large": "More events or bytes than a push may have.";
    PayloadTooLarge = 413 "payload_too_large": "The body exceeds the limit, uncompressed or as sent.";
    UriTooLong = 414 "uri_too_long": "Path and query are longer than 16 KiB.";
    UnsupportedMediaType = 415 "unsupported_media_type": "The body's `Content-Type` is not supported.";
    UnsupportedEncoding = 415 "unsupported_encoding": "The body's `Content-Encoding` is not supported.";
    SettingsInvalid = 422 "settings_invalid": "Values of the body do not fit.";
    IdReused = 422 "id_reused": "Another request was made under this `Idempotency-Key`.";
    UnsupportedProtocol = 426 "unsupported_protocol": "There is no common protocol version.";
    RateLimited = 429 "rate_limited": "Too many requests for now.";
    HeadersTooLarge = 431 "headers_too_large": "The header fields are longer than 32 KiB in all.";
    Internal = 500 "internal": "The server failed.";
    StorageCorrupt = 500 "storage_corrupt": "The server's data is damaged.";
    Unavailable = 503 "unavailable": "The server has too much to do.";
    ShuttingDown = 503 "shutting_down": "The server is going down.";
    StorageFull = 503 "storage_full": "The server's medium is full.";
    StorageIo = 503 "storage_io": "The server's database cannot be read or written.";
}
