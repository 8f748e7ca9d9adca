//! Tasks that are sent at fixed times: what is written about them. When that is, others decide.

mod calls;

pub(crate) use calls::implement_schedules;

use crate::error::StoreError;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::producer::Draft;
use serde::Serialize;
use sqlx::FromRow;
use std::fmt;
use std::str::FromStr;

/// What the platform database has to do with schedules.
///
/// # Errors
/// All methods return [`StoreError`].
#[async_trait]
pub trait Schedules {
    /// Schedules in the order of their names; with a name, that one.
    async fn schedules(&self, name: Option<&str>) -> Result<Vec<ScheduleRow>, StoreError>;

    /// Adds a schedule. `false`: there is one of that name, which is left as it is.
    async fn add_schedule(&self, schedule: &ScheduleRow) -> Result<bool, StoreError>;

    /// Removes a schedule; what it has sent stays. `false`: there is none of that name.
    async fn remove_schedule(&self, name: &str) -> Result<bool, StoreError>;

    /// Lets a schedule fire, next at that time, or not. `false`: there is none of that name.
    async fn enable_schedule(
        &self,
        name: &str,
        enabled: bool,
        next_at: Option<DateTime<Utc>>,
    ) -> Result<bool, StoreError>;

    /// Schedules that are to fire by now, but for those with these names: at most so many, up to 10,000.
    async fn due_schedules(
        &self,
        except: &[String],
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError>;

    /// Puts what a schedule sends into the outbox and moves it on to its next time, in one transaction.
    /// `false`: it has been moved on, stopped or removed before, and nothing happened.
    async fn fire(&self, firing: &Firing) -> Result<bool, StoreError>;

    /// Puts a task into the outbox in a transaction of its own.
    async fn put(&self, draft: &Draft) -> Result<(), StoreError>;
}

/// What is done about times at which nobody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum CatchUp {
    /// Nothing.
    #[default]
    Skip,
    /// One task, for the last of them.
    Once,
    /// A task for each of them, but at most for the last hundred.
    All,
}

impl CatchUp {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Skip, Self::Once, Self::All];

    /// Its name in commands and columns.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        }
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of skip, once and all")]
pub struct InvalidCatchUp(String);

impl FromStr for CatchUp {
    type Err = InvalidCatchUp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|it| it.as_str() == text);
        known.ok_or_else(|| InvalidCatchUp(text.to_owned()))
    }
}

impl TryFrom<String> for CatchUp {
    type Error = InvalidCatchUp;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl Serialize for CatchUp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A row of `schedule`. What it says of times and of the task is read by whoever fires it.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct ScheduleRow {
    /// Its name, which is unique.
    pub name: String,
    /// When it fires: a cron expression of five fields, or `@hourly` and the like.
    pub cron: String,
    /// Time zone in which that is meant.
    pub time_zone: String,
    /// Type of the task that it sends.
    #[sqlx(rename = "type")]
    #[serde(rename = "type")]
    pub task: String,
    /// The task's arguments by position: a JSON array.
    pub args: String,
    /// The task's arguments by keyword: a JSON object.
    pub kwargs: String,
    /// The task's class.
    pub priority: String,
    /// Who wants the task.
    pub creator_id: Option<String>,
    /// Milliseconds after which the task is not to run any more.
    pub expires_ms: Option<i64>,
    /// Each task is sent up to so many milliseconds later than its time.
    pub jitter_ms: i64,
    /// What is done about times at which nobody looked.
    #[sqlx(try_from = "String")]
    pub catch_up: CatchUp,
    /// Whether it fires at all.
    pub enabled: bool,
    /// When it fires next; `None`: never again, or it is not enabled.
    pub next_at: Option<DateTime<Utc>>,
    /// The last time for which it fired.
    pub last_at: Option<DateTime<Utc>>,
}

/// What a schedule does at one look.
#[derive(Debug, Clone)]
pub struct Firing {
    /// Name of the schedule.
    pub name: String,
    /// The time for which it was to fire, by which the schedule is recognized.
    pub was: DateTime<Utc>,
    /// When it fires next.
    pub next: Option<DateTime<Utc>>,
    /// The time of the last of its tasks; `None`: it sends none.
    pub last: Option<DateTime<Utc>>,
    /// What it sends, each with its unique key in the outbox.
    pub tasks: Vec<(String, Draft)>,
}
