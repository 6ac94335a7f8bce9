//! The client behind the lines.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::json;
use unisono::model::{OpKind, Value, parse_value, value};
use unisono::query::Record;
use unisono::storage::SqliteStorage;
use unisono::transport::HttpTransport;
use unisono::{Client, Collection, Error};

/// One line.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Step {
    Create {
        collection: String,
        id: String,
        doc: Value,
    },
    Update {
        collection: String,
        id: String,
        patch: Value,
    },
    Edit {
        collection: String,
        id: String,
        ops: Vec<Op>,
    },
    Delete {
        collection: String,
        id: String,
    },
    /// The ids of a query's records, in order, and the canonical text of all that they are.
    Query {
        collection: String,
        options: Value,
    },
    Sync,
    /// The canonical text of all documents of a collection, by id.
    Canonical {
        collection: String,
    },
}

#[derive(Deserialize)]
struct Op {
    path: String,
    #[serde(flatten)]
    kind: OpKind,
}

pub fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    match runtime.block_on(serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("native-device: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, url, account, token, indexes @ ..] = arguments.as_slice() else {
        return Err("needs a file, a URL, an account and a token".into());
    };
    let mut builder = Client::builder()
        .storage(SqliteStorage::open(path)?)
        .transport(HttpTransport::new(url)?)
        .account(account)
        .token(token);
    for index in indexes {
        let (collection, fields) = index.split_once(':').ok_or("an index is <collection>:<field>,…")?;
        builder = builder.index(collection, fields.split(','));
    }
    let client = builder.build().await?;
    for line in std::io::stdin().lock().lines() {
        let step: Step = serde_json::from_value(parse_value(&line?)?)?;
        let answer = match take(&client, step).await {
            Ok(answer) => json!({"ok": answer}),
            Err(error) => json!({"error": {
                "code": error.code(), "kind": error.kind(), "retryable": error.retryable(), "message": error.to_string(),
            }}),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(client.close().await?)
}

async fn take(client: &Client, step: Step) -> Result<Value, Error> {
    let in_collection = |name: &str| client.collection(name);
    Ok(match step {
        Step::Create { collection, id, doc } => json!(in_collection(&collection).create(id, doc).await?),
        Step::Update { collection, id, patch } => json!(in_collection(&collection).update(id, patch).await?),
        Step::Edit { collection, id, ops } => {
            let edit = in_collection(&collection).edit(id);
            json!(ops.into_iter().fold(edit, |edit, op| edit.op(op.path, op.kind)).commit().await?)
        }
        Step::Delete { collection, id } => json!(in_collection(&collection).delete(id).await?),
        Step::Query { collection, options } => {
            let records = in_collection(&collection).query_from_json(options)?.all().await?;
            json!(records.iter().map(|record| record.id.as_str()).collect::<Vec<_>>())
        }
        Step::Sync => json!(client.sync_now().await?),
        Step::Canonical { collection } => json!(canonical(&in_collection(&collection)).await?),
    })
}

async fn canonical(collection: &Collection) -> Result<String, Error> {
    let by_id = collection.all().await?.into_iter().map(|Record { id, doc, .. }| (id.to_string(), doc));
    Ok(String::from_utf8_lossy(&value::canonical(&Value::Object(by_id.collect()))).into_owned())
}
