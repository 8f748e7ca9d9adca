//! What a batch does to sessions: [`session_steps`], and its long lists as arrays, since reading 700 subtasks
//! out of a JSON text costs the server more than looking them up.

use super::outbox::hand_over;
use super::write::{Written, column};
use crate::batch::{Applied, Batch};
use crate::sessions::{
    Before, Complete, End, Ending, Known, MOST_RESULT_BYTES, News, NthRow, Retries, Row,
    SubtaskChange, Touched, count, end_of, news, plain_ends, session_steps,
};
use crate::sql::Statements;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::EventKind;
use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::session::{Opening, SessionSummary};
use serde_json::json;
use sqlx::postgres::{PgArguments, PgBindIterExt};
use sqlx::query::QueryAs;
use sqlx::{FromRow, query, query_as};
use std::collections::BTreeSet;

session_steps!(sqlx::Postgres);

/// Gives a statement about `subtasks` its parameters.
fn of_subtasks<'q, T>(
    statement: QueryAs<'q, sqlx::Postgres, T, PgArguments>,
    subtasks: &'q [Touched],
) -> QueryAs<'q, sqlx::Postgres, T, PgArguments> {
    statement
        .bind(column!(subtasks, |task| task.session_id.as_str()))
        .bind(column!(subtasks, |task| task.task_id.as_str()))
}

/// Subtasks of which the same was counted.
#[derive(FromRow)]
struct Alike {
    all_nth: Vec<i64>,
    #[sqlx(flatten)]
    before: Before,
}

/// What sessions had counted of subtasks. Writes those of `ends` that are the first ones.
async fn known_of(
    tx: Tx<'_>,
    sql: &Statements,
    subtasks: &[Touched],
    ends: &[Option<Row>],
) -> Result<Vec<Known>, sqlx::Error> {
    let alike = of_subtasks(query_as(sql.counted_subtasks), subtasks)
        .bind(column!(ends, |end| end.map(|row| row.state.as_str())))
        .bind(column!(ends, |end| end.is_some_and(|row| row.skipped)));
    let alike: Vec<Alike> = alike.fetch_all(tx).await?;
    let known = alike.into_iter().flat_map(|Alike { all_nth, before }| {
        let of = move |nth| Known {
            nth,
            before: before.clone(),
        };
        all_nth.into_iter().map(of)
    });
    Ok(known.collect())
}

fn subtasks_of<'q>(sql: &Statements, opening: &'q Opening) -> Written<'q> {
    query(sql.insert_subtasks)
        .bind(opening.id.as_str())
        .bind(column!(opening.subtasks, |subtask| subtask.id.as_str()))
        .bind(column!(opening.subtasks, |subtask| subtask.task.as_str()))
}

fn changes_of<'q>(sql: &Statements, changes: &'q [SubtaskChange]) -> Written<'q> {
    query(sql.update_subtasks)
        .bind(column!(changes, |change| change.place.as_str()))
        .bind(column!(changes, |change| change.session_id.as_str()))
        .bind(column!(changes, |change| change.task_id.as_str()))
        .bind(column!(changes, |change| change.status.as_str()))
        .bind(column!(changes, |change| change.skipped))
        .bind(column!(changes, |change| change.counted))
        .bind(column!(changes, |change| change.uncounted))
}
