//! What the user's settings ask of sync: whether, how often, what, and over which network.
//!
//! The settings themselves always sync, on the engine's own interval, whatever they say: a device on which the user has switched
//! sync off could never hear otherwise that it is on again. Only [`set_enabled`](Engine::set_enabled) stops them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::part::Part;
use super::push::Pushed;
use super::runtime::{Engine, ScopeRuntime, lock};
use super::session::SyncReport;
use crate::error::Result;
use crate::model::{CollectionName, Policy, Scope, Value};
use crate::protocol::ChangesRequest;
use crate::queue::Selection;
use crate::settings::{Document, SETTINGS, preference};

/// The network that a device is on, as the app knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum NetworkKind {
    /// None.
    Offline,
    /// One that costs nothing by the byte: Wi-Fi, a cable. Assumed where the app says nothing.
    Unmetered,
    /// One that costs by the byte, such as a mobile network: nothing but settings is synced over it where the user wants Wi-Fi
    /// only (`cloud_sync.wifi_only`).
    Metered,
}

/// Why a user's settings hold back all but the settings themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "uniffi", derive(uniffi::Enum))]
#[cfg_attr(feature = "wasm", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Withheld {
    /// `cloud_sync.enabled` is off.
    SyncOff,
    /// `cloud_sync.wifi_only` is on, and the network is metered.
    MeteredNetwork,
}

/// How much of a scope is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All that the settings allow.
    Whole,
    /// What is due: all, or the settings alone where the user wants the rest less often.
    Due,
}

/// What the settings ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CloudSync {
    enabled: bool,
    wifi_only: bool,
    /// The user's own; without it the engine's holds.
    interval: Option<Duration>,
    pub selection: Selection,
    policy: Policy,
}

impl Engine {
    pub(super) async fn cloud_sync(&self) -> Result<CloudSync> {
        let asked = preference(&self.reader(), &Document::Preferences, "cloud_sync").await?;
        let seconds = asked.get("interval_s").and_then(Value::as_u64).filter(|seconds| (5..=86_400).contains(seconds));
        let policy = asked.get("default_policy").cloned().and_then(|policy| serde_json::from_value(policy).ok());
        let selection = asked.get("collections").and_then(Value::as_array).map(|names| {
            let names = names.iter().filter_map(Value::as_str);
            Selection::Only(crate::collections::set_of(names.filter_map(|name| CollectionName::new(name).ok())))
        });
        let cloud_sync = CloudSync {
            enabled: asked.get("enabled") != Some(&Value::Bool(false)),
            wifi_only: asked.get("wifi_only") == Some(&Value::Bool(true)),
            interval: seconds.map(Duration::from_secs),
            selection: selection.unwrap_or_default(),
            policy: policy.unwrap_or_default(),
        };
        self.queue.set_default_policy(cloud_sync.policy);
        self.hold(&cloud_sync);
        Ok(cloud_sync)
    }

    /// Remembers what is held back. What was held back until now and is so no more, is synced at once.
    fn hold(&self, cloud_sync: &CloudSync) {
        let metered = self.metered.load(Ordering::Acquire);
        let now = match cloud_sync {
            CloudSync { enabled: false, .. } => Some(Withheld::SyncOff),
            CloudSync { wifi_only: true, .. } if metered => Some(Withheld::MeteredNetwork),
            _ => None,
        };
        let before = std::mem::replace(&mut *lock(&self.withheld), now);
        if before.is_some() && now.is_none() {
            for runtime in lock(&self.scopes).values() {
                runtime.bell.ring_urgently();
            }
        }
    }

    /// Why the settings hold back what is not settings.
    pub(super) fn withheld(&self) -> Option<Withheld> {
        *lock(&self.withheld)
    }

    /// Tells which network the device is on; syncs at once where that allows more than before.
    pub fn set_network(self: &std::sync::Arc<Self>, kind: NetworkKind) {
        self.metered.store(kind == NetworkKind::Metered, Ordering::Release);
        self.set_online(kind != NetworkKind::Offline);
    }

    /// How long a scope's worker rests after a sync.
    pub(super) async fn rest(&self, scope: &Scope) -> Duration {
        let own = self.options.interval;
        let asked = self.cloud_sync().await.ok().and_then(|cloud_sync| cloud_sync.interval).unwrap_or(own);
        if *scope == Scope::User || self.withheld().is_some() { asked.min(own) } else { asked }
    }

    /// Whether only the settings are to be synced now.
    pub(super) fn is_narrowed(&self, cloud_sync: &CloudSync, runtime: &ScopeRuntime, extent: Extent) -> bool {
        let Some(interval) = cloud_sync.interval else { return self.withheld().is_some() };
        let last = runtime.memory().whole;
        // A worker that rests for one interval wakes a moment before or after it has passed.
        let due = last.is_none_or(|last| self.environment.monotonic() + self.options.debounce >= last + interval);
        self.withheld().is_some() || (extent == Extent::Due && !due)
    }

    /// Sends what was written to the settings of `scope`, and asks for what others have. Nothing in a scope that is not the
    /// user's own.
    pub(super) async fn exchange_settings(&self, scope: &Scope, report: &mut SyncReport) -> Result<()> {
        if *scope != Scope::User {
            return Ok(());
        }
        let settings_only = Selection::Only(std::collections::BTreeSet::new());
        while let Pushed::Some = self.push_once(scope, &settings_only, report).await? {}
        let row = self.reader().scope(scope).await?;
        let request = ChangesRequest {
            epoch: row.epoch.clone(),
            cursor: row.cursor.clone(),
            seen: row.seen.clone(),
            collection: Some(CollectionName::new(SETTINGS)?),
            device: Some(self.reader().replica().await?.device.clone()),
            ..ChangesRequest::from_start(scope.clone())
        };
        report.pulled += self.read_part(request, &mut Part::Settings).await?;
        Ok(())
    }
}
