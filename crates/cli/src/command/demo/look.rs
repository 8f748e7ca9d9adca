//! Looking at the database until every task has come to its end, or nothing moves any more.

use super::bars::Bars;
use super::books::{Books, Found};
use super::producers::Sent;
use super::stage::Stage;
use crate::failure::Failure;
use chrono::TimeDelta;
use counterfoil_store::record::TaskRow;
use counterfoil_store::{Cursor, TaskFilter};
use counterfoil_toolbox::TaskState;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How often the database is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// Nothing has changed for so long: nothing will.
const STALLED: Duration = Duration::from_secs(60);

/// Rows are looked at, all of them, no more often: others may use the database too, and then
/// counts tell too early that it is over.
const LOOK: Duration = Duration::from_secs(1);

/// Rows that are read at a time.
const PAGE: u32 = 500;

/// Questions about single tasks that are under way at the same time.
const UNDER_WAY: usize = 4;

/// Message times have whole seconds, so a task may seem older than it is.
const ROUNDED: TimeDelta = TimeDelta::seconds(2);

/// Watches the tasks of this demo.
pub(super) struct Watch<'a> {
    stage: &'a Stage,
    sent: &'a [Sent],
    bars: &'a Bars,
    all: usize,
}

impl<'a> Watch<'a> {
    pub(super) fn new(stage: &'a Stage, sent: &'a [Sent], bars: &'a Bars) -> Self {
        let children: usize = sent.iter().map(|sent| sent.planned.children).sum();
        Self {
            stage,
            sent,
            bars,
            all: sent.len() + children,
        }
    }

    /// The books, once they balance or nothing has changed for a while.
    pub(super) async fn until_settled(&self) -> Result<Books, Failure> {
        let (mut last, mut changed) = (Vec::new(), Instant::now());
        let mut next_look = changed;
        loop {
            let counts = self.counts().await?;
            let ended = counts.iter().filter(|(state, _)| is_at_rest(*state));
            let ended: usize = ended.map(|(_, count)| count).sum();
            self.bars.ended(ended.min(self.all));
            if counts != last {
                (last, changed) = (counts, Instant::now());
            }
            let stalled = changed.elapsed() > STALLED;
            if stalled || (ended >= self.all && Instant::now() >= next_look) {
                let books = self.books().await?;
                if stalled || books.unaccounted().is_empty() {
                    return Ok(books);
                }
                next_look = Instant::now() + LOOK;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn counts(&self) -> Result<Vec<(TaskState, usize)>, Failure> {
        let since = Some(self.stage.since - ROUNDED);
        let counts = self.stage.store.counts_by_state(since).await?;
        let count = |tasks| usize::try_from(tasks).unwrap_or_default();
        Ok(counts
            .into_iter()
            .map(|c| (c.state, count(c.tasks)))
            .collect())
    }

    /// Compares what was sent with the rows.
    async fn books(&self) -> Result<Books, Failure> {
        let mut rows = self.rows().await?;
        let found = self
            .sent
            .iter()
            .map(|sent| (sent, rows.remove(sent.id.as_str())));
        let found = stream::iter(found).map(|(sent, row)| self.found(sent, row));
        let found: Vec<Found<'_>> = found.buffered(UNDER_WAY).try_collect().await?;
        Ok(Books::balance(&found))
    }

    async fn found<'s>(&self, sent: &'s Sent, row: Option<TaskRow>) -> Result<Found<'s>, Failure> {
        let store = &*self.stage.store;
        let result = match (&sent.planned.result, &row) {
            (Some(_), Some(row)) => store.result(&row.task_id, row.run).await?,
            _ => None,
        };
        let mut children = Vec::new();
        if sent.planned.children > 0 {
            children = store.family(&sent.id).await?;
            children.retain(|child| child.task_id != sent.id);
        }
        Ok(Found {
            sent,
            row,
            result: result
                .and_then(|row| row.result)
                .map(|json| json.to_value()),
            children,
        })
    }

    /// All rows of this demo, by task id.
    async fn rows(&self) -> Result<HashMap<String, TaskRow>, Failure> {
        let mut filter = TaskFilter {
            creator: Some(self.stage.creator.clone()),
            limit: PAGE,
            ..TaskFilter::default()
        };
        let mut rows = HashMap::new();
        loop {
            let page = self.stage.store.tasks(&filter).await?;
            filter.after = page.last().map(Cursor::after);
            let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            rows.extend(page.into_iter().map(|row| (row.task_id.to_string(), row)));
            if is_last {
                return Ok(rows);
            }
        }
    }
}

/// Whether a task of the demo stays in this state: nobody will ever own the unroutable ones.
fn is_at_rest(state: TaskState) -> bool {
    state.is_terminal() || state == TaskState::Unroutable
}
