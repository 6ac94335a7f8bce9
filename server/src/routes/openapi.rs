//! The OpenAPI document: the table's operations and the protocol's types.

use std::sync::LazyLock;

use unisono::model::{Receipt, SyncEvent};
use unisono::protocol::{
    ApiKey, ApiKeyList, CreatedApiKey, DigestResponse, NewApiKey, Page, Problem, PushRequest, PushResponse,
    RenameApiKey, RotateApiKey, StatsResponse, StatusResponse, StorageStats, SyncSwitch, ToggleApiKey, ValueResponse,
};
use utoipa::OpenApi;
use utoipa::openapi::extensions::Extensions;
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
        ValueResponse, ApiKey, ApiKeyList, CreatedApiKey, NewApiKey, RenameApiKey, RotateApiKey, StorageStats, ToggleApiKey,
    )),
    tags(
        (name = "sync", description = "The sync protocol."),
        (name = "settings", description = "The account's settings, API keys and storage."),
        (name = "operations", description = "For operators."),
    ),
)]
struct Document;

/// The document as JSON.
pub(super) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut document = Document::openapi();
        for mut route in table() {
            let needs = Extensions::builder().add("x-permission", route.needs.name()).build();
            route.operation.extensions.get_or_insert_default().merge(needs);
            document.paths.add_path_operation(route.path, vec![route.method], route.operation);
        }
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
        document.to_json().expect("the document serializes")
    });
    &TEXT
}
