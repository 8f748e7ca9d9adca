//! Which messages of a dead queue a command is about.

use crate::failure::Failure;
use crate::text::short;
use crate::when::ago;
use chrono::{DateTime, Utc};
use counterfoil_store::record::DeadRecord;
use counterfoil_store::{DeadFilter, DeadLetter, Store};
use counterfoil_toolbox::names::ServiceName;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// So many dead letters, the newest, are looked through for reasons that there are.
const REASONS_OF: u32 = 100;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Choice {
    /// Service whose dead queue it is
    pub(super) service: ServiceName,
    #[command(flatten)]
    pub(super) which: Which,
}

/// Which ones of those that lie there.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Which {
    /// Of this task, or the record with this id; may be given several times
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Died for this reason, for example exhausted, bad_arguments, unknown_task or delivery_limit
    #[arg(long)]
    reason: Option<String>,
    /// Of this type, for example export.project
    #[arg(long)]
    name: Option<String>,
    /// Died since this time (or so long ago: 1h)
    #[arg(long, value_name = "T", value_parser = ago)]
    since: Option<DateTime<Utc>>,
}

/// A choice, and what the platform was told of the messages.
#[derive(Debug)]
pub(super) struct Chosen {
    choice: Choice,
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
    /// Whether nothing is chosen.
    pub(super) fn is_everything(&self) -> bool {
        let Self {
            id,
            reason,
            name,
            since,
        } = self;
        id.is_empty() && reason.is_none() && name.is_none() && since.is_none()
    }

    /// The filters for the database, one per id, of a service or of all.
    pub(super) fn filters(
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
    pub(super) async fn wire_ids(&self, store: &dyn Store) -> Result<Vec<String>, Failure> {
        let mut ids = Vec::with_capacity(self.id.len());
        for id in &self.id {
            let task = store.task(id).await?;
            ids.push(task.map_or_else(|| id.clone(), |task| task.task_id.to_string()));
        }
        Ok(ids)
    }

    /// Says so where nothing lies there for the reason that is asked for: it may be mistyped.
    pub(super) async fn tell_if_no_reason(
        &self,
        service: Option<&ServiceName>,
        store: &dyn Store,
    ) -> Result<(), Failure> {
        let Some(reason) = &self.reason else {
            return Ok(());
        };
        let filter = |reason, limit| DeadFilter {
            service: service.map(ServiceName::to_string),
            reason,
            limit,
            ..DeadFilter::default()
        };
        let of_it = store.dead(&filter(Some(reason.clone()), 1)).await?;
        if of_it.is_empty() {
            let others = store.dead(&filter(None, REASONS_OF)).await?;
            let others: BTreeSet<_> = others.iter().map(|row| short(&row.reason)).collect();
            let others: Vec<_> = others.into_iter().collect();
            let others = match others.is_empty() {
                true => String::new(),
                false => format!("; reasons there are: {}", others.join(", ")),
            };
            let whose = service.map_or(String::new(), |service| format!(" of {service}"));
            let reason = short(reason);
            eprintln!("no dead letter{whose} has the reason {reason}{others}");
        }
        Ok(())
    }
}

impl Choice {
    /// What the platform knows of the messages that are chosen.
    pub(super) async fn look_up(self, store: &dyn Store) -> Result<Chosen, Failure> {
        let ids = self.which.wire_ids(store).await?;
        let mut unseen = BTreeMap::new();
        for filter in self.which.filters(Some(&self.service), &ids, 0) {
            let records = store.dead_records(&filter).await?;
            unseen.extend(records.into_iter().map(|record| (record.id, record)));
        }
        let mut died_at = HashMap::new();
        if self.which.since.is_some() {
            let all = DeadFilter {
                service: Some(self.service.to_string()),
                ..DeadFilter::default()
            };
            let all = store.dead_records(&all).await?.into_iter();
            died_at.extend(all.map(|record| (record.id, record.died_at)));
        }
        Ok(Chosen {
            choice: self,
            unmet: ids.iter().cloned().collect(),
            ids: ids.into_iter().collect(),
            died_at,
            unseen,
        })
    }
}

impl Chosen {
    pub(super) fn service(&self) -> &ServiceName {
        &self.choice.service
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
            ..
        } = &self.choice.which;
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
    }
}
