//! Policies per collection and field: set on the client, carried by the events.

use std::borrow::Cow;

use super::draft::{Draft, Mutation};
use crate::error::Result;
use crate::model::{CollectionName, OpKind, Pointer, Policy, Value, ops_of_patch, value};

/// Who wins a conflict, per collection and field. The most specific rule holds; without one, the last write wins.
#[derive(Clone, Debug, Default)]
pub struct PolicyTable {
    rules: Vec<(CollectionName, Option<Pointer>, Policy)>,
}

/// Field operations.
type Edits = Vec<(Pointer, OpKind)>;

impl PolicyTable {
    /// Adds a rule for a collection, or for a field of its records and all below.
    pub fn set(&mut self, collection: CollectionName, path: Option<Pointer>, policy: Policy) {
        self.rules.retain(|(of, at, _)| *of != collection || *at != path);
        self.rules.push((collection, path, policy));
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
    }

    /// Gives a draft its policy. An update whose fields have different ones becomes several drafts, which go as a group.
    pub(super) fn split<'d>(&self, draft: &'d Draft, view: Option<&Value>) -> Result<Vec<Cow<'d, Draft>>> {
        if draft.policy.is_some() || !self.rules.iter().any(|(of, _, _)| *of == draft.key.collection) {
            return Ok(vec![Cow::Borrowed(draft)]);
        }
        let edits = match &draft.mutation {
            Mutation::Edit(edits) => edits.clone(),
            Mutation::Update(patch) => {
                let mut patch = patch.clone();
                value::admit(&mut patch)?;
                let ops = ops_of_patch(patch, view.unwrap_or(&Value::Null))?;
                ops.into_iter().map(|op| (op.path, op.kind)).collect()
            }
            Mutation::Create(_) | Mutation::Delete => {
                let policy = self.of(&draft.key.collection, None);
                return Ok(vec![Cow::Owned(Draft { policy, ..draft.clone() })]);
            }
        };
        let mut by_policy: Vec<(Option<Policy>, Edits)> = Vec::new();
        for (path, kind) in edits {
            let policy = self.of(&draft.key.collection, Some(&path));
            match by_policy.iter_mut().find(|(of, _)| *of == policy) {
                Some((_, edits)) => edits.push((path, kind)),
                None => by_policy.push((policy, vec![(path, kind)])),
            }
        }
        Ok(by_policy
            .into_iter()
            .map(|(policy, edits)| Cow::Owned(Draft { policy, mutation: Mutation::Edit(edits), ..draft.clone() }))
            .collect())
    }
}
