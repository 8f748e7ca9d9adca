//! What a batch does to sessions: [`session_steps`], all its lists as JSON texts.

use super::outbox::hand_over;
use super::write::Written;
use crate::batch::{Applied, Batch};
use crate::sessions::{
    Complete, End, Ending, Known, MOST_RESULT_BYTES, News, NthRow, Retries, Row, SubtaskChange,
    Touched, count, end_of, news, plain_ends, session_steps,
};
use crate::sql::Statements;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::EventKind;
use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::session::{Opening, SessionSummary};
use serde_json::json;
use sqlx::query::QueryAs;
use sqlx::sqlite::SqliteArguments;
use sqlx::{query, query_as};
use std::collections::BTreeSet;

session_steps!(sqlx::Sqlite);

/// Gives a statement about `subtasks` its parameters.
fn of_subtasks<'q, T>(
    statement: QueryAs<'q, sqlx::Sqlite, T, SqliteArguments>,
    subtasks: &[Touched],
) -> QueryAs<'q, sqlx::Sqlite, T, SqliteArguments> {
    statement.bind(json(&subtasks))
}

/// What sessions had counted of subtasks. No statement here writes and reads: all ends are written by [`changes_of`].
async fn known_of(
    tx: Tx<'_>,
    sql: &Statements,
    subtasks: &[Touched],
    _: &[Option<Row>],
) -> Result<Vec<Known>, sqlx::Error> {
    let known = of_subtasks(query_as(sql.counted_subtasks), subtasks);
    known.fetch_all(tx).await
}

fn subtasks_of<'q>(sql: &Statements, opening: &Opening) -> Written<'q> {
    query(sql.insert_subtasks)
        .bind(opening.id.to_string())
        .bind(json(&opening.subtasks))
}

fn changes_of<'q>(sql: &Statements, changes: &[SubtaskChange]) -> Written<'q> {
    query(sql.update_subtasks).bind(json(&changes))
}
