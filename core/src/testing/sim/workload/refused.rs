//! Refused input: every way in which an app can go wrong. The call says which rule it broke, and nothing is written (I2, I16).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Attempt, Feature, Place};
use crate::Client;
use crate::error::{InvalidCode, Result};
use crate::model::{TextComponent, TextEdit, Value, parse_value};
use crate::query::eq;
use crate::testing::SeededRandom;
use crate::testing::sim::config::{ACCOUNTS, Config};

const COLLECTION: &str = "strict";
const PLAIN: &str = "plain";

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Refused;

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    place: Place,
    bad: Bad,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Bad {
    EmptyId,
    ReservedKey,
    ReservedCollection,
    Pointer,
    PointerIntoArray,
    LongKey,
    Json,
    Number,
    LoneSurrogate,
    NulCharacter,
    Nesting,
    LargeDocument,
    NoObject,
    NoPatch,
    TextEdit,
    TypeMismatch,
    EmptyTransaction,
    MixedTransaction,
    Query,
    NoStorage,
}

impl Bad {
    const ALL: [Self; 20] = [
        Self::EmptyId,
        Self::ReservedKey,
        Self::ReservedCollection,
        Self::Pointer,
        Self::PointerIntoArray,
        Self::LongKey,
        Self::Json,
        Self::Number,
        Self::LoneSurrogate,
        Self::NulCharacter,
        Self::Nesting,
        Self::LargeDocument,
        Self::NoObject,
        Self::NoPatch,
        Self::TextEdit,
        Self::TypeMismatch,
        Self::EmptyTransaction,
        Self::MixedTransaction,
        Self::Query,
        Self::NoStorage,
    ];

    fn code(self) -> InvalidCode {
        match self {
            Self::EmptyId => InvalidCode::Id,
            Self::ReservedKey | Self::ReservedCollection => InvalidCode::ReservedName,
            Self::Pointer => InvalidCode::Pointer,
            Self::PointerIntoArray => InvalidCode::PointerIntoArray,
            Self::LongKey => InvalidCode::Key,
            Self::Json => InvalidCode::Json,
            Self::Number => InvalidCode::Number,
            Self::LoneSurrogate => InvalidCode::LoneSurrogate,
            Self::NulCharacter => InvalidCode::NulCharacter,
            Self::Nesting => InvalidCode::NestingTooDeep,
            Self::LargeDocument => InvalidCode::DocumentTooLarge,
            Self::NoObject => InvalidCode::NotAnObject,
            Self::NoPatch => InvalidCode::Patch,
            Self::TextEdit => InvalidCode::TextEdit,
            Self::TypeMismatch => InvalidCode::TypeMismatch,
            Self::EmptyTransaction | Self::MixedTransaction => InvalidCode::Transaction,
            Self::Query => InvalidCode::Query,
            Self::NoStorage => InvalidCode::Config,
        }
    }

    /// A document that must not be stored; `None` where the document is not what is wrong.
    fn document(self) -> Option<Value> {
        let mut deep = json!(1);
        Some(match self {
            Self::ReservedKey => json!({"$x": 1}),
            Self::LongKey => json!({"k".repeat(300): 1}),
            Self::NulCharacter => json!({"name": "a\0b"}),
            Self::Nesting => {
                (0..70).for_each(|_| deep = json!({ "x": deep.take() }));
                deep
            }
            Self::LargeDocument => json!({"text": "x".repeat(1 << 20)}),
            Self::NoObject => json!(["no", "object"]),
            _ => return None,
        })
    }

    /// A text that a binding would be given, and must not read as if it were another.
    fn text(self) -> Option<&'static str> {
        match self {
            Self::Json => Some(r#"{"name": "Kick""#),
            Self::Number => Some(r#"{"plays": 18446744073709551616}"#),
            Self::LoneSurrogate => Some(r#"{"name": "\ud800"}"#),
            _ => None,
        }
    }
}

impl Feature for Refused {
    fn name(&self) -> &'static str {
        "refused"
    }

    fn draw(&self, random: &mut SeededRandom, _: &Config) -> Value {
        let bad = Bad::ALL[usize::try_from(random.below(Bad::ALL.len() as u64)).unwrap_or(0)];
        json!(Step { place: Place::draw(random), bad })
    }

    fn prepare(&self, app: &App) -> Vec<Attempt> {
        let shared = app.replica.account == ACCOUNTS[0];
        let places = Place::BOTH.into_iter().filter(|place| *place == Place::User || shared);
        let create = |place: Place| {
            let strict = place.collection(&app.client, COLLECTION);
            let doc = json!({"name": "Kick", "list": [1, 2], "text": "abc"});
            let writes = vec![place.planned(COLLECTION, PLAIN, Value::Null)];
            Attempt { writes, call: Box::pin(async move { Ok(vec![Some(strict.create(PLAIN, doc).await?)]) }) }
        };
        places.map(create).collect()
    }

    fn attempt(&self, app: &App, step: &Value) -> Option<Attempt> {
        let Step { place, bad } = serde_json::from_value(step.clone()).ok()?;
        Some(Attempt::refused(try_it(app.client.clone(), place, bad)))
    }

    fn expects(&self, step: &Value) -> Option<&'static str> {
        let step: Step = serde_json::from_value(step.clone()).ok()?;
        Some(step.bad.code().as_str())
    }

    /// A replica that has lost its store knows no record yet.
    fn may_fail(&self, code: &str) -> bool {
        code == "not_found"
    }
}

async fn try_it(client: Client, place: Place, bad: Bad) -> Result<()> {
    let records = place.collection(&client, COLLECTION);
    let plain = || records.edit(PLAIN);
    if let Some(document) = bad.document() {
        return records.create("new", document).await.map(drop);
    }
    if let Some(text) = bad.text() {
        return records.create("new", parse_value(text)?).await.map(drop);
    }
    match bad {
        Bad::EmptyId => records.create("", json!({})).await.map(drop),
        Bad::ReservedCollection => place.collection(&client, "$conflicts").create("new", json!({})).await.map(drop),
        Bad::Pointer => plain().set("name", 1).commit().await.map(drop),
        Bad::PointerIntoArray => plain().set("/list/0", 1).commit().await.map(drop),
        Bad::NoPatch => records.update(PLAIN, json!([])).await.map(drop),
        Bad::TextEdit => plain().text("/text", TextEdit(vec![TextComponent::Skip(0)])).commit().await.map(drop),
        Bad::TypeMismatch => plain().increment("/name", 1).commit().await.map(drop),
        Bad::EmptyTransaction => client.transaction().commit().await.map(drop),
        Bad::MixedTransaction => {
            let both = Place::BOTH.map(|place| place.collection(&client, COLLECTION));
            let mixed = client.transaction().create(&both[0], "new", json!({})).create(&both[1], "new", json!({}));
            mixed.commit().await.map(drop)
        }
        Bad::Query => records.query().filter(eq("/no~pointer", 1)).all().await.map(drop),
        Bad::NoStorage => Client::builder().build().await.map(drop),
        _ => Ok(()),
    }
}
