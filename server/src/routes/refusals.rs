//! The refusals of each route: what it says itself, and what follows from how it is asked. They become the error responses of
//! the OpenAPI document, one for each status, with the codes that it has there.

use std::collections::{BTreeMap, BTreeSet};

use unisono::protocol::{PROBLEM_JSON, ProblemCode};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};

use ProblemCode::*;

/// Of every route.
const ANY: [ProblemCode; 5] = [UriTooLong, HeadersTooLarge, RateLimited, Internal, RequestTimeout];
/// Of routes whose protocol version is negotiated.
const PROTOCOL: [ProblemCode; 2] = [InvalidProtocolHeader, UnsupportedProtocol];
/// Of routes that a credential opens; all of them read the store.
const SECURED: [ProblemCode; 3] = [AuthRequired, Forbidden, Unavailable];
/// Of routes that need the store.
const STORE: [ProblemCode; 4] = [StorageCorrupt, StorageFull, StorageIo, ShuttingDown];
/// Why a server may not be ready.
pub(super) const UNREADY: [ProblemCode; 5] = [Internal, StorageCorrupt, StorageFull, StorageIo, ShuttingDown];
/// Of routes with a JSON body.
const BODY: [ProblemCode; 9] = [
    InvalidJson,
    InvalidRequest,
    NestingTooDeep,
    InvalidEncoding,
    CompressionRatio,
    BodyIncomplete,
    PayloadTooLarge,
    UnsupportedMediaType,
    UnsupportedEncoding,
];

/// Writes the refusals of a route into its documentation.
pub(super) fn document(operation: &mut Operation, speaks_protocol: bool, own: &[ProblemCode]) {
    let mut codes: BTreeSet<_> = ANY.into_iter().chain(own.iter().copied()).collect();
    if speaks_protocol {
        codes.extend(PROTOCOL);
    }
    if operation.security.is_some() {
        codes.extend(SECURED);
        codes.extend(STORE);
    }
    if operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty()) {
        codes.insert(InvalidQuery);
    }
    if operation.request_body.is_some() {
        codes.extend(BODY);
    }
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(code);
    }
    for (status, codes) in by_status {
        respond(operation, status, &codes);
    }
}

/// Adds the error response with this status.
pub(super) fn respond(operation: &mut Operation, status: u16, codes: &[ProblemCode]) {
    let lines: Vec<_> = codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.meaning())).collect();
    let code = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .enum_values(Some(codes.iter().map(|code| code.as_str())));
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name("Problem"))
        .item(ObjectBuilder::new().property("code", code).required("code"));
    let response = ResponseBuilder::new()
        .description(lines.join("\n"))
        .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(schema)).build());
    operation.responses.responses.insert(status.to_string(), response.build().into());
}
