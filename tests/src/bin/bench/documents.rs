//! The documents that are written: real sample records, cut to about 300 bytes.

use serde_json::Value;
use unisono_examples::library::Library;

use crate::measure::Result;

pub struct Document {
    pub id: String,
    pub doc: Value,
}

/// Every record's hash is as long as all that makes records different: without it about 300 bytes are left.
const LEFT_OUT: &str = "sha256";

/// The first `count` documents.
pub fn documents(count: usize) -> Result<Vec<Document>> {
    let library = Library::embedded()?;
    let cut = |mut doc: Value| {
        if let Some(fields) = doc.as_object_mut() {
            fields.remove(LEFT_OUT);
        }
        doc
    };
    Ok(library.samples().take(count).map(|sample| Document { id: sample.id, doc: cut(sample.doc) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_about_300_bytes() {
        let documents = documents(500).unwrap();
        let bytes: usize = documents.iter().map(|document| document.doc.to_string().len()).sum();
        let mean = bytes / documents.len();
        assert!((280..320).contains(&mean), "{mean}");
    }
}
