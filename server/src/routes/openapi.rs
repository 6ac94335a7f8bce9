//! The OpenAPI document: the table's operations and the protocol's types.

use std::sync::LazyLock;

use unisono::model::{Receipt, SyncEvent};
use unisono::protocol::{
    DigestResponse, Page, Problem, PushRequest, PushResponse, StatsResponse, StatusResponse, SyncSwitch, ValueResponse,
};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::table::table;

/// Everything but the paths, which come from the table.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Unisono sync protocol",
        description = "Offline-first sync: push events, read the change feed. Errors are RFC 9457 problem documents with a stable `code`.",
    ),
    components(schemas(
        PushRequest<SyncEvent>, PushResponse, Receipt, Page, Problem, StatusResponse, DigestResponse, StatsResponse, SyncSwitch,
        ValueResponse,
    )),
    tags(
        (name = "sync", description = "The sync protocol."),
        (name = "operations", description = "For operators."),
    ),
)]
struct Document;

/// The document as JSON.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut document = Document::openapi();
        for route in table() {
            document.paths.add_path_operation(route.path, vec![route.method], route.operation);
        }
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
        document.to_json().expect("the document serializes")
    });
    &TEXT
}
