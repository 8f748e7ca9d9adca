//! What people did through the dashboard: who, from where, to what, with which outcome.
//!
//! The table is `operator_action`, since "audit" is what the books are called to.

use crate::error::StoreError;
use crate::json::JsonText;
use crate::text::{INDEXED, LINE, cleaned};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

/// Something that somebody did, as it is recorded. Texts are cut at 500 bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorDeed {
    /// A new one, of version 7. Recording the same deed again changes nothing.
    pub id: Uuid,
    /// The user's name.
    pub who: String,
    /// In which role.
    pub role: String,
    /// From where the request came.
    pub address: Option<String>,
    /// `cancel`, `rerun`, `pause`, `sign_in`.
    pub action: String,
    /// What it was done to: the kind (`task`, `session`, `service`), and the id.
    pub subject: Option<(String, String)>,
    /// Whatever else is to be remembered: a filter and how many rows it found. It must not hold secrets. What
    /// `jsonb` cannot hold is left out.
    pub detail: Option<JsonText>,
    /// `done`, `refused`, or why it failed, in up to 4,000 bytes.
    pub outcome: String,
}

impl OperatorDeed {
    pub(crate) fn storable_detail(&self) -> Option<JsonText> {
        JsonText::storable(self.detail.as_ref()?.get())
    }
}

/// A row of `operator_action`.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct OperatorAction {
    /// Its id, in the order of time.
    #[sqlx(try_from = "String")]
    pub id: Uuid,
    /// When it was recorded, by the database's clock.
    pub at: DateTime<Utc>,
    /// The user's name.
    pub who: String,
    /// In which role.
    pub role: String,
    /// From where the request came.
    pub address: Option<String>,
    /// What was done.
    pub action: String,
    /// Kind of what it was done to.
    pub subject_kind: Option<String>,
    /// What it was done to.
    pub subject: Option<String>,
    /// Whatever else is remembered.
    pub detail: Option<JsonText>,
    /// What came of it.
    pub outcome: String,
}

/// Which actions are wanted. Everything that is set must hold; newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActionFilter {
    /// By this user.
    pub who: Option<String>,
    /// This one.
    pub action: Option<String>,
    /// Done to something of this kind.
    pub subject_kind: Option<String>,
    /// Done to this.
    pub subject: Option<String>,
    /// At this time or later.
    pub since: Option<DateTime<Utc>>,
    /// After the row with this id of the page before.
    pub after: Option<Uuid>,
    /// At most so many; 0: 10,000, the most that is given.
    pub limit: u32,
}

/// What people did. Part of [`Store`](crate::Store).
#[async_trait]
pub trait OperatorActions: Send + Sync {
    /// Records what somebody did, once it is known what came of it. It needs no right but to insert.
    async fn record_deed(&self, deed: &OperatorDeed) -> Result<(), StoreError>;

    /// What people did, newest first.
    async fn operator_actions(
        &self,
        filter: &ActionFilter,
    ) -> Result<Vec<OperatorAction>, StoreError>;
}

/// As a column that is searched holds it.
pub(crate) fn indexed(text: &str) -> String {
    cleaned(text, INDEXED).into_owned()
}

/// As a line for people.
pub(crate) fn line(text: &str) -> String {
    cleaned(text, LINE).into_owned()
}

/// Implements [`OperatorActions`] for a store that has what
/// [`implement_store!`](crate::calls::implement_store) needs.
macro_rules! implement_operators {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::operators::OperatorActions for $store {
            async fn record_deed(
                &self,
                deed: &crate::operators::OperatorDeed,
            ) -> Result<(), StoreError> {
                use crate::operators::{indexed, line};
                let subject = deed.subject.as_ref();
                let detail = deed.storable_detail();
                let recorded = query(self.sql.flow.insert_operator_action)
                    .bind(deed.id.to_string())
                    .bind(indexed(&deed.who))
                    .bind(indexed(&deed.role))
                    .bind(deed.address.as_deref().map(indexed))
                    .bind(indexed(&deed.action))
                    .bind(subject.map(|(kind, _)| indexed(kind)))
                    .bind(subject.map(|(_, id)| indexed(id)))
                    .bind(detail.as_ref().map(|json| json.get()))
                    .bind(line(&deed.outcome));
                self.execute("record what somebody did", recorded).await
            }

            async fn operator_actions(
                &self,
                filter: &crate::operators::ActionFilter,
            ) -> Result<Vec<crate::operators::OperatorAction>, StoreError> {
                use crate::operators::indexed;
                let rows = query_as(self.sql.flow.operator_actions)
                    .bind(filter.who.as_deref().map(indexed))
                    .bind(filter.action.as_deref().map(indexed))
                    .bind(filter.subject_kind.as_deref().map(indexed))
                    .bind(filter.subject.as_deref().map(indexed))
                    .bind(filter.since.map(Self::time))
                    .bind(filter.after.map(|id| id.to_string()))
                    .bind(row_limit(filter.limit));
                self.all("list what people did", rows).await
            }
        }
    };
}
pub(crate) use implement_operators;
