//! Why a task is where it is: what it waits for, and what to do about it.
//!
//! [`why`] answers for an id. Who has the task already, or looks for it in another way, begins an [`Inquiry`].
//! Remedies name commands of `counterfoil`: they are what an operator types.

mod explain;
mod explanation;
mod facts;
mod gather;
mod gone;
mod group;
mod over;
#[cfg(test)]
mod tests;
mod waiting;

pub use explanation::Explanation;
pub use group::discarded;

use crate::error::OperationError;
use counterfoil_store::Store;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::config::SyncSettings;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Transport;
use explain::{explain, unknown};
use facts::Lag;
use gather::{gather, lag};
use std::sync::Arc;

/// The broker, or why it cannot be asked: what the database knows is worth telling without it.
pub type Broker = Result<Arc<dyn Transport>, String>;

/// Where answers are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The database.
    pub store: &'a dyn Store,
    /// The broker, if there is one.
    pub broker: &'a Broker,
    /// What its exchanges and queues are called.
    pub names: &'a Names,
    /// How the daemon is set up.
    pub settings: &'a SyncSettings,
}

/// Questions that are asked at one moment.
#[derive(Debug, Clone)]
pub struct Inquiry<'a> {
    site: Site<'a>,
    /// What the daemon had not read when it began.
    lag: Lag,
}

/// Explains where the task with this public id or task id is. Ids of sessions, of finalizers that are not sent yet and
/// of tasks that somebody deleted are explained, too.
///
/// # Errors
/// [`OperationError::Store`]. A broker that does not answer is no error: the explanation says so.
///
/// # Cancel safety
/// It only looks.
pub async fn why(id: &str, site: Site<'_>) -> Result<Explanation, OperationError> {
    let inquiry = Inquiry::begin(site).await;
    match site.store.task(id).await? {
        Some(task) => inquiry.of_task(task).await,
        None => inquiry.without_row(id).await,
    }
}

impl<'a> Inquiry<'a> {
    /// Looks how much the daemon has not read yet: look for the task afterwards, so that what is read meanwhile is
    /// not taken for missing.
    ///
    /// # Cancel safety
    /// It only looks.
    pub async fn begin(site: Site<'a>) -> Self {
        Self {
            lag: lag(site.names, site.broker).await,
            site,
        }
    }

    /// Explains a task.
    ///
    /// # Errors
    /// [`OperationError::Store`].
    ///
    /// # Cancel safety
    /// It only looks.
    pub async fn of_task(&self, task: TaskRow) -> Result<Explanation, OperationError> {
        Ok(explain(&gather(task, self.site, self.lag.clone()).await?))
    }

    /// Explains an id that no task has. One of which nothing is known [says so](Explanation::is_of_nobody).
    ///
    /// # Errors
    /// [`OperationError::Store`].
    ///
    /// # Cancel safety
    /// It only looks.
    pub async fn without_row(&self, id: &str) -> Result<Explanation, OperationError> {
        let Site {
            store, settings, ..
        } = self.site;
        let explained = group::explained(id, settings, store, &self.lag).await?;
        Ok(explained.unwrap_or_else(|| unknown(id, &self.lag)))
    }
}
