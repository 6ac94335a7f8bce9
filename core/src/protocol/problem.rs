//! Error documents (RFC 9457) with a stable `code`.

use serde::Serialize;

use super::ProblemCode;
use crate::model::Revision;
use crate::reading;

/// An RFC 9457 problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Identifies the kind of problem; `about:blank` where `code` says all.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The kind in words; the same for every occurrence.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence in words; no secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The stable code, for programs: a [`ProblemCode`], or one of a newer server.
    pub code: String,
    /// The request's id, to be quoted to the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Seconds to wait (429, 503); also in the Retry-After header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// `epoch_changed`: the new history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// `epoch_changed`: up to here both histories are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_revision: Option<Revision>,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

reading::fields!(Problem {
    kind as "type" = about_blank(), title = String::new(), status, detail = None, code, request_id = None,
    retry_after = None, epoch = None, shared_revision = None,
});

impl Problem {
    /// A refusal of this protocol.
    #[must_use]
    pub fn of(code: ProblemCode, title: impl Into<String>) -> Self {
        Self::new(code.status(), code.as_str(), title)
    }

    /// Whether it has this code.
    #[must_use]
    pub fn is(&self, code: ProblemCode) -> bool {
        self.code == code.as_str()
    }

    /// A problem with nothing but its status, code and words, as another server may tell it. Servers of this protocol refuse
    /// with [`Problem::of`].
    #[must_use]
    pub fn new(status: u16, code: impl Into<String>, title: impl Into<String>) -> Self {
        Self {
            kind: about_blank(),
            title: title.into(),
            status,
            detail: None,
            code: code.into(),
            request_id: None,
            retry_after: None,
            epoch: None,
            shared_revision: None,
        }
    }

    /// Whether it stands for an answer without an error document, of which nobody knows whether the server gave it: a gateway's,
    /// a captive portal's.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.code.starts_with("http_")
    }

    /// Adds words on this occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}
