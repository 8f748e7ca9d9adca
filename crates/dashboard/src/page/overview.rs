//! The first page: how things stand.

mod broker;
mod chart;
mod mirror;
mod warnings;

pub(crate) use broker::Depths;

use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::app::Shared;
use crate::shown::{State, When, grouped, span, visible};
use askama::Template;
use axum::Extension;
use axum::extract::{Query, State as Shares};
use chart::{Ends, Times};
use chrono::TimeDelta;
use counterfoil_operations::workers::is_alive;
use counterfoil_store::{Counted, LivingCount, TypeRollup};
use counterfoil_toolbox::TaskState;
use mirror::Mirror;
use serde::Deserialize;
use std::time::Duration;
use warnings::{Warning, warnings};

/// Types of tasks that are compared.
const TYPES: usize = 10;

#[derive(Debug, Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    layout: Layout,
    warnings: Vec<Warning>,
    living: Vec<Count>,
    workers: usize,
    /// How far the mirror is behind, and when that was seen.
    mirror: Option<(String, When)>,
    range: &'static str,
    ranges: Vec<&'static str>,
    ends: Ends,
    queue_time: Times,
    run_time: Times,
    slowest: Vec<Type>,
    failing: Vec<Type>,
}

#[derive(Debug)]
struct Count {
    state: State,
    tasks: String,
}

/// How tasks of one type fared.
#[derive(Debug)]
struct Type {
    name: String,
    /// As it is, for links.
    key: String,
    ended: String,
    failed: String,
    /// Of a hundred.
    share: String,
    p50: String,
    p95: String,
    total: String,
}

/// A time up to now, and the step of its charts.
struct Range {
    name: &'static str,
    hours: i64,
    step: Duration,
}

const fn range(name: &'static str, hours: i64, minutes: u64) -> Range {
    Range {
        name,
        hours,
        step: Duration::from_secs(60 * minutes),
    }
}

/// Some sixty steps each.
const RANGES: [Range; 5] = [
    range("1h", 1, 1),
    range("6h", 6, 5),
    range("24h", 24, 30),
    range("7d", 7 * 24, 180),
    range("30d", 30 * 24, 720),
];

/// The one that is shown where nobody asks for another.
const USUAL: usize = 2;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    range: String,
}

/// `GET /`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Answer {
    let layout = Layout::new(&visitor, "/", "Overview");
    let layout = layout.watching(&app, "").await?;
    let now = app.store.clock().await?;
    let range = RANGES.iter().find(|range| range.name == asked.range);
    let range = range.unwrap_or(&RANGES[USUAL]);
    let from = now - TimeDelta::hours(range.hours);
    let workers = app.store.workers().await?;
    let canaries = app.store.canaries(mirror::LOOKED_AT).await?;
    let mirror = Mirror::of(&canaries, now);
    let (rollup, types, living, warnings) = tokio::try_join!(
        app.store.rollup(from, now, range.step, None, None),
        app.store.rollup_types(from, now),
        app.store.count_living(),
        warnings(&app, &workers, mirror, now),
    )?;
    let mut failing: Vec<_> = types.iter().filter(|row| row.failed > 0).collect();
    failing.sort_by_key(|row| std::cmp::Reverse(row.failed));
    render(&OverviewPage {
        warnings,
        mirror: mirror.told().map(|(text, at)| (text, When::of(at))),
        living: living.iter().map(count).collect(),
        workers: workers.iter().filter(|row| is_alive(row, now)).count(),
        range: range.name,
        ranges: RANGES.iter().map(|range| range.name).collect(),
        ends: Ends::of(&rollup),
        queue_time: Times::of(&rollup, |point| point.queue_time),
        run_time: Times::of(&rollup, |point| point.run_time),
        slowest: types.iter().take(TYPES).map(of_type).collect(),
        failing: failing.into_iter().take(TYPES).map(of_type).collect(),
        layout,
    })
}

fn count(count: &LivingCount) -> Count {
    Count {
        state: State::of(count.state),
        tasks: counted(count.tasks),
    }
}

/// A count that says how exact it is.
pub(super) fn counted(counted: Counted) -> String {
    let number = |count: u64| grouped(i64::try_from(count).unwrap_or(i64::MAX));
    match counted {
        Counted::Exactly(count) => number(count),
        Counted::About(count) => format!("about {}", number(count)),
        Counted::MoreThan(count) => format!("more than {}", number(count)),
        Counted::Unknown => "many".to_owned(),
    }
}

fn of_type(row: &TypeRollup) -> Type {
    let time = |ms: Option<i64>| ms.map_or_else(String::new, span);
    Type {
        name: visible(&row.name),
        key: row.name.clone(),
        ended: grouped(row.ended),
        failed: grouped(row.failed),
        share: match row.ended {
            ..1 => String::new(),
            ended => format!("{} %", row.failed.saturating_mul(100) / ended),
        },
        p50: time(row.run_time.p50_ms),
        p95: time(row.run_time.p95_ms),
        total: span(row.total_run_ms),
    }
}

impl OverviewPage {
    const FAILURE: &'static str = TaskState::Failure.as_str();
}
