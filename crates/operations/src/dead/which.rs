//! Which messages of a dead queue are meant.

use crate::error::OperationError;
use chrono::{DateTime, Utc};
use counterfoil_store::record::DeadRecord;
use counterfoil_store::{DeadFilter, DeadLetter, Store};
use counterfoil_toolbox::names::ServiceName;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Which ones of those that lie in a dead queue. Everything that is set must hold; by default all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// Of these tasks (public ids or task ids), or the records with these ids. Empty: whatever its id.
    pub ids: Vec<String>,
    /// Died for this reason, for example `exhausted`.
    pub reason: Option<String>,
    /// Of this type, for example `export.project`.
    pub name: Option<String>,
    /// Died at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Died before this time. What the platform was not told of yet has died just now.
    pub until: Option<DateTime<Utc>>,
}

/// A choice, and what the platform was told of the messages.
#[derive(Debug)]
pub(super) struct Chosen {
    service: ServiceName,
    which: Which,
    ids: HashSet<String>,
    /// Ids of which neither a message nor a record was seen yet.
    pub(super) unmet: BTreeSet<String>,
    /// When messages of the service died. The platform knows it of all that it was told of; messages
    /// themselves mostly do not say.
    died_at: HashMap<Uuid, DateTime<Utc>>,
    /// Records that are chosen, and whose message was not seen yet.
    pub(super) unseen: BTreeMap<Uuid, DeadRecord>,
}

impl Which {
    /// Whether all of them are meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        let Self {
            ids,
            reason,
            name,
            since,
            until,
        } = self;
        ids.is_empty() && reason.is_none() && name.is_none() && since.is_none() && until.is_none()
    }

    /// The filters for the database, one per id, of a service or of all. `ids` are [`wire_ids`](Self::wire_ids).
    #[must_use]
    pub fn filters(
        &self,
        service: Option<&ServiceName>,
        ids: &[String],
        limit: u32,
    ) -> Vec<DeadFilter> {
        let filter = |id: Option<&String>| DeadFilter {
            service: service.map(ServiceName::to_string),
            id: id.cloned(),
            reason: self.reason.clone(),
            name: self.name.clone(),
            since: self.since,
            limit,
            ..DeadFilter::default()
        };
        match ids.is_empty() {
            true => vec![filter(None)],
            false => ids.iter().map(|id| filter(Some(id))).collect(),
        }
    }

    /// The ids as messages and records have them: public ids are those of tasks.
    ///
    /// # Errors
    /// [`OperationError::Store`].
    ///
    /// # Cancel safety
    /// It only looks.
    pub async fn wire_ids(&self, store: &dyn Store) -> Result<Vec<String>, OperationError> {
        let mut ids = Vec::with_capacity(self.ids.len());
        for id in &self.ids {
            let task = store.task(id).await?;
            ids.push(task.map_or_else(|| id.clone(), |task| task.task_id.to_string()));
        }
        Ok(ids)
    }

    /// What the platform knows of the messages of a service that are chosen.
    pub(super) async fn look_up(
        self,
        service: ServiceName,
        store: &dyn Store,
    ) -> Result<Chosen, OperationError> {
        let ids = self.wire_ids(store).await?;
        let mut unseen = BTreeMap::new();
        for filter in self.filters(Some(&service), &ids, 0) {
            let records = store.dead_records(&filter).await?;
            unseen.extend(records.into_iter().map(|record| (record.id, record)));
        }
        unseen.retain(|_, record: &mut DeadRecord| {
            self.until.is_none_or(|until| record.died_at < until)
        });
        let mut died_at = HashMap::new();
        if self.since.is_some() || self.until.is_some() {
            let all = DeadFilter {
                service: Some(service.to_string()),
                ..DeadFilter::default()
            };
            let all = store.dead_records(&all).await?.into_iter();
            died_at.extend(all.map(|record| (record.id, record.died_at)));
        }
        Ok(Chosen {
            service,
            which: self,
            unmet: ids.iter().cloned().collect(),
            ids: ids.into_iter().collect(),
            died_at,
            unseen,
        })
    }
}

impl Chosen {
    pub(super) const fn service(&self) -> &ServiceName {
        &self.service
    }

    /// A message was seen, or a record of one.
    pub(super) fn met(&mut self, id: Uuid, task_id: Option<&str>) {
        self.unmet.remove(&id.to_string());
        if let Some(task_id) = task_id {
            self.unmet.remove(task_id);
        }
    }

    /// Whether a message that is in the queue is one of them. One that the platform was not told of
    /// yet has died just now.
    pub(super) fn includes(&self, id: Uuid, letter: &DeadLetter) -> bool {
        let Which {
            reason,
            name,
            since,
            until,
            ..
        } = &self.which;
        let task_id = letter.task_id.as_ref().map(|id| id.as_str());
        let by_id = self.ids.is_empty()
            || task_id.is_some_and(|id| self.ids.contains(id))
            || self.ids.contains(&id.to_string());
        let died_at = self.died_at.get(&id).copied().or(letter.died_at);
        by_id
            && reason
                .as_deref()
                .is_none_or(|reason| *reason == *letter.reason)
            && name
                .as_deref()
                .is_none_or(|name| letter.name.as_deref() == Some(name))
            && since.is_none_or(|since| died_at.is_none_or(|at| at >= since))
            && until.is_none_or(|until| died_at.is_some_and(|at| at < until))
    }
}
