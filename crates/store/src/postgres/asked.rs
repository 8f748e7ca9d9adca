//! What is asked of workers, as statements over arrays.

use super::write::Written;
use crate::control::Asked;
use crate::sql::Statements;
use sqlx::postgres::PgBindIterExt;
use sqlx::query;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn ended<'q>(sql: &Statements, rows: &'q BTreeMap<Uuid, Asked>) -> Written<'q> {
    let ended = rows
        .iter()
        .flat_map(|(id, asked)| asked.ends().iter().map(move |kind| (*kind, id, asked)));
    let ended: Vec<_> = ended.collect();
    query(sql.end_control)
        .bind(ended.iter().map(|row| row.0).bind_iter())
        .bind(ended.iter().map(|row| row.2.order.subject()).bind_iter())
        .bind(ended.iter().map(|row| row.2.at).bind_iter())
        .bind(ended.iter().map(|row| row.1.to_string()).bind_iter())
}

pub(super) fn asked<'q>(sql: &Statements, rows: &'q BTreeMap<Uuid, Asked>) -> Written<'q> {
    query(sql.insert_control)
        .bind(rows.iter().map(|row| row.0.to_string()).bind_iter())
        .bind(rows.iter().map(|row| row.1.order.kind()).bind_iter())
        .bind(rows.iter().map(|row| row.1.order.subject()).bind_iter())
        .bind(rows.iter().map(|row| row.1.order.run()).bind_iter())
        .bind(rows.iter().map(|row| row.1.by.as_deref()).bind_iter())
        .bind(rows.iter().map(|row| row.1.at).bind_iter())
        .bind(rows.iter().map(|row| row.1.ends_at()).bind_iter())
}
