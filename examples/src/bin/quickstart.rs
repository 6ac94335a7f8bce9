//! The quick start of the README, as a program. `tests/quick_start.rs` keeps the two equal.

use serde_json::json;
use unisono::{Client, query::eq, storage::SqliteStorage, transport::HttpTransport};

#[tokio::main]
async fn main() -> unisono::Result<()> {
    let client = Client::builder()
        .storage(SqliteStorage::open("library.db")?)
        .transport(HttpTransport::new("http://127.0.0.1:4747")?)
        .account("alice")
        .token(std::env::var("UNISONO_TOKEN").unwrap_or_default())
        .build()
        .await?;
    let samples = client.collection("samples");
    samples.create("kick-01", json!({"name": "Kick", "bpm": 120, "category": "bd"})).await?;
    samples.update("kick-01", json!({"bpm": 128})).await?;
    samples.edit("kick-01").increment("/plays", 1).add("/tags", ["808"]).commit().await?;
    if let Some(seen) = samples.record("kick-01").await? {
        // Whatever a sync brings while an editor is open: this write is made in sight of what its user saw.
        samples.update(&seen, json!({"name": "Kick 1"})).await?;
    }
    let page = samples.query().filter(eq("/category", "bd")).order_by("/name").limit(50).all().await?;
    println!("{page:?}\n{:?}", client.sync_now().await?);
    client.close().await
}
