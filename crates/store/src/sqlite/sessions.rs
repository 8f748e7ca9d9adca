//! What a batch does to sessions: [`session_steps`], all its lists as JSON texts.

use super::outbox::hand_over;
use super::write::Written;
use crate::batch::{Applied, Batch};
use crate::sessions::{
    Complete, End, Ending, MOST_RESULT_BYTES, News, Retries, SubtaskChange, Touched, count, end_of,
    session_steps,
};
use crate::sql::Statements;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::EventKind;
use counterfoil_toolbox::ids::SessionId;
use counterfoil_toolbox::session::SessionSummary;
use serde_json::json;
use sqlx::query::QueryAs;
use sqlx::sqlite::SqliteArguments;
use sqlx::{query, query_as};
use std::collections::BTreeSet;

session_steps!(sqlx::Sqlite);

fn news_of<'q>(
    sql: &Statements,
    touched: &[Touched],
) -> QueryAs<'q, sqlx::Sqlite, News, SqliteArguments> {
    query_as(sql.subtask_news).bind(json(&touched))
}

fn changes_of<'q>(sql: &Statements, changes: &[SubtaskChange]) -> Written<'q> {
    query(sql.update_subtasks).bind(json(&changes))
}
