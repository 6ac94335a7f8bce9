//! Who is behind a request, as the audit trail names them.

use serde_json::Value;
use unisono::model::DeviceId;

use crate::store::AuditRow;
use crate::telemetry::origin;

/// An account's device at an address.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) user: String,
    pub(super) device: Option<DeviceId>,
    /// The address, if the request came over the network.
    pub(super) peer: Option<String>,
}

impl Caller {
    /// The caller of the request that is being answered.
    pub(super) fn new(user: &str, device: Option<&DeviceId>) -> Self {
        Self { user: user.to_owned(), device: device.cloned(), peer: origin::peer() }
    }

    /// An audit row about what the caller did.
    pub(super) fn audit(&self, at_ms: u64, action: &'static str, detail: Value) -> AuditRow {
        let Self { user, device, peer } = self.clone();
        AuditRow { device, peer, ..AuditRow::new(at_ms, user, action, detail) }
    }
}
