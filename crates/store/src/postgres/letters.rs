//! Messages that were set aside, as statements.

use super::write::{Written, column};
use crate::set_aside::{DeadLetter, Handled, Parked};
use crate::sql::Statements;
use crate::stored::{headers_to_json, properties_to_json};
use sqlx::postgres::PgBindIterExt;
use sqlx::query;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn parked<'q>(sql: &Statements, rows: &'q BTreeMap<Uuid, Parked>) -> Written<'q> {
    query(sql.upsert_parked)
        .bind(column!(rows, |row| row.0.to_string()))
        .bind(column!(rows, |row| &*row.1.queue))
        .bind(column!(rows, |row| &*row.1.reason))
        .bind(column!(rows, |row| row
            .1
            .task_id
            .as_ref()
            .map(|id| id.as_str())))
        .bind(column!(rows, |row| row.1.name.as_deref()))
        .bind(column!(rows, |row| &row.1.message.content.body[..]))
        .bind(column!(rows, |row| headers_to_json(
            &row.1.message.content.headers
        )))
        .bind(column!(rows, |row| properties_to_json(
            &row.1.message.content.properties
        )))
        .bind(column!(rows, |row| &*row.1.message.exchange))
        .bind(column!(rows, |row| &*row.1.message.routing_key))
        .bind(column!(rows, |row| row.1.waits))
}

pub(super) fn dead<'q>(sql: &Statements, rows: &'q BTreeMap<Uuid, DeadLetter>) -> Written<'q> {
    let rows: Vec<_> = rows.iter().collect();
    letters(sql.upsert_dead, &rows)
}

pub(super) fn handled<'q>(sql: &Statements, rows: &'q BTreeMap<Uuid, Handled>) -> Written<'q> {
    let letters_of: Vec<_> = rows.iter().map(|(id, row)| (id, &row.letter)).collect();
    letters(sql.handle_dead, &letters_of).bind(column!(rows, |row| row.1.messages))
}

/// Dead letters, column by column.
fn letters<'q>(statement: &'static str, rows: &[(&'q Uuid, &'q DeadLetter)]) -> Written<'q> {
    query(statement)
        .bind(column!(rows, |row| row.0.to_string()))
        .bind(column!(rows, |row| &*row.1.service))
        .bind(column!(rows, |row| &*row.1.reason))
        .bind(column!(rows, |row| row.1.reason_text.as_deref()))
        .bind(column!(rows, |row| row
            .1
            .task_id
            .as_ref()
            .map(|id| id.as_str())))
        .bind(column!(rows, |row| row.1.name.as_deref()))
        .bind(column!(rows, |row| row.1.lineage.run))
        .bind(column!(rows, |row| row.1.lineage.rescue))
        .bind(column!(rows, |row| row.1.lineage.retries()))
        .bind(column!(rows, |row| row.1.lineage.deliveries))
        .bind(column!(rows, |row| &row.1.message.content.body[..]))
        .bind(column!(rows, |row| headers_to_json(
            &row.1.message.content.headers
        )))
        .bind(column!(rows, |row| properties_to_json(
            &row.1.message.content.properties
        )))
        .bind(column!(rows, |row| &*row.1.message.exchange))
        .bind(column!(rows, |row| &*row.1.message.routing_key))
        .bind(column!(rows, |row| row.1.died_at))
}
