//! What is asked of workers, as statements over arrays.

use super::write::Written;
use crate::control::Asked;
use crate::sql::Statements;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgBindIterExt;
use sqlx::query;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn ended<'q>(sql: &Statements, rows: &'q BTreeMap<Uuid, Asked>) -> Written<'q> {
    let ended = rows.values().flat_map(|asked| {
        let kinds = asked.ends().iter();
        kinds.map(move |kind| (*kind, asked.order.subject(), asked.at))
    });
    let ended: Vec<_> = ended.collect();
    let texts = |text: fn(&(&'static str, &'q str, DateTime<Utc>)) -> String| {
        ended.iter().map(text).collect::<Vec<_>>()
    };
    query(sql.end_control)
        .bind(texts(|row| row.0.to_owned()))
        .bind(texts(|row| row.1.to_owned()))
        .bind(ended.iter().map(|row| row.2).collect::<Vec<_>>())
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
