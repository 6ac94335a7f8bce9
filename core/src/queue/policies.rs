//! Policies per collection and field: set on the client, carried by the events.

use super::draft::Draft;
use super::plan::Plan;
use crate::model::{CollectionName, Pointer, Policy, SyncAction};

/// Who wins a conflict, per collection and field. The most specific rule holds; without one, the last write wins.
#[derive(Clone, Debug, Default)]
pub struct PolicyTable {
    rules: Vec<(CollectionName, Option<Pointer>, Policy)>,
    default: Policy,
}

impl PolicyTable {
    /// Adds a rule for a collection, or for a field of its records and all below.
    pub fn set(&mut self, collection: CollectionName, path: Option<Pointer>, policy: Policy) {
        self.rules.retain(|(of, at, _)| *of != collection || *at != path);
        self.rules.push((collection, path, policy));
    }

    /// What holds where there is no rule.
    pub(super) fn default_policy(&self) -> Policy {
        self.default
    }

    /// Says what holds where there is no rule.
    pub(super) fn set_default(&mut self, policy: Policy) {
        self.default = policy;
    }

    /// The default as an event carries it. Unisono's own collections keep to the last write.
    fn fallback(&self, collection: &CollectionName) -> Option<Policy> {
        Some(self.default).filter(|policy| *policy != Policy::default() && !collection.is_reserved())
    }

    fn of(&self, collection: &CollectionName, path: Option<&Pointer>) -> Option<Policy> {
        self.rules
            .iter()
            .filter(|(of, at, _)| {
                of == collection
                    && match (at, path) {
                        (None, _) => true,
                        (Some(at), Some(path)) => at == path || path.is_below(at),
                        (Some(_), None) => false,
                    }
            })
            .max_by_key(|(_, at, _)| at.as_ref().map_or(0, |at| at.as_str().len()))
            .map(|(_, _, policy)| *policy)
            .or_else(|| self.fallback(collection))
    }

    /// Gives a write its policy. An update whose fields have different ones becomes several, which go as a group.
    pub(super) fn split(&self, draft: &Draft, plan: Plan) -> Vec<(Option<Policy>, Plan)> {
        let collection = &draft.key.collection;
        if draft.policy.is_some() || !self.rules.iter().any(|(of, _, _)| of == collection) {
            return vec![(draft.policy.or_else(|| self.fallback(collection)), plan)];
        }
        if plan.action != SyncAction::Update {
            return vec![(self.of(collection, None), plan)];
        }
        let mut by_policy: Vec<(Option<Policy>, Plan)> = Vec::new();
        for op in plan.ops {
            let policy = self.of(collection, Some(&op.path));
            match by_policy.iter_mut().find(|(of, _)| *of == policy) {
                Some((_, plan)) => plan.ops.push(op),
                None => by_policy.push((policy, Plan { action: plan.action, doc: None, ops: vec![op] })),
            }
        }
        by_policy
    }
}
