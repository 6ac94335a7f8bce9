//! The sample library: the real records, and more of the same kind where a run needs many.

use serde_json::{Map, Value, json};
use unisono::model::value::hash_hex;

const REAL: &str = include_str!("../data/sample-library.ndjson");

/// One record to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name of its audio file. (The library's own `id` is no key: `bd_haus` is there twice, as AIFF and as FLAC.)
    pub id: String,
    /// What is known of it.
    pub doc: Value,
}

/// The records of `data/sample-library.ndjson`.
#[derive(Clone, Debug)]
pub struct Library {
    real: Vec<Map<String, Value>>,
}

impl Library {
    /// Reads the records that are built into the program.
    ///
    /// # Errors
    /// What serde says of a line that is no JSON object.
    pub fn embedded() -> Result<Self, serde_json::Error> {
        let real = REAL.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Self { real })
    }

    /// Number of real records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.real.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.real.is_empty()
    }

    /// The real records, then variations of them, without end.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        (1u64..).flat_map(move |take| self.real.iter().map(move |real| variation(real, take)))
    }
}

/// The first take is the real record. Later ones differ as another recording of the same instrument would: in name, hash,
/// length and level.
fn variation(real: &Map<String, Value>, take: u64) -> Sample {
    let mut doc = real.clone();
    let file = doc.get("file").and_then(Value::as_str).unwrap_or_default().to_owned();
    if take == 1 {
        return Sample { id: file, doc: Value::Object(doc) };
    }
    let (stem, extension) = file.rsplit_once('.').unwrap_or((&file, "flac"));
    let id = format!("{stem}-{take}.{extension}");
    for (field, value) in &mut doc {
        *value = match (field.as_str(), &*value) {
            ("id", Value::String(name)) => json!(format!("{name}-{take}")),
            ("name", Value::String(name)) => json!(format!("{name} {take}")),
            ("file", _) => json!(id),
            ("sha256", _) => json!(hash_hex(&json!(id))),
            ("bytes", Value::Number(bytes)) => json!(bytes.as_u64().unwrap_or(0) + take),
            ("duration_ms" | "spectral_centroid_hz", Value::Number(measured)) => {
                json!(tenths(measured.as_f64().unwrap_or(0.0) + take as f64 * 0.1))
            }
            _ => continue,
        };
    }
    Sample { id, doc: Value::Object(doc) }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_real_record_is_there_under_a_name_of_its_own() {
        let library = Library::embedded().unwrap();
        assert_eq!(library.len(), 207);
        let samples: Vec<_> = library.samples().take(library.len()).collect();
        let ids: BTreeSet<_> = samples.iter().map(|sample| &sample.id).collect();
        assert_eq!(ids.len(), samples.len());
        for (sample, line) in samples.iter().zip(REAL.lines()) {
            assert_eq!(sample.doc, serde_json::from_str::<Value>(line).unwrap());
        }
    }

    #[test]
    fn variations_never_end_and_never_share_a_name() {
        let library = Library::embedded().unwrap();
        let samples: Vec<_> = library.samples().take(1_000).collect();
        let ids: BTreeSet<_> = samples.iter().map(|sample| &sample.id).collect();
        assert_eq!(ids.len(), 1_000);
        let again: Vec<_> = library.samples().take(1_000).collect();
        assert_eq!(samples, again);
        let (first, third) = (&samples[0], &samples[2 * library.len()]);
        assert_eq!(third.id, "ambi_choir-3.flac");
        assert_eq!(third.doc["category"], first.doc["category"]);
        assert_ne!(third.doc["sha256"], first.doc["sha256"]);
    }
}
