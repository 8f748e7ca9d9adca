//! What is asked of the lists: every filter alone, and those together that suit the planner least.

use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::{Cursor, DeadFilter, ParkedFilter, SessionFilter, TaskFilter, TaskOrder};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::ids::TaskId;
use std::time::Duration;

/// One question.
pub(crate) struct Ask {
    pub(crate) what: String,
    pub(crate) how: How,
    /// What 95 of 100 may take.
    pub(crate) within: Duration,
}

pub(crate) enum How {
    Page(TaskFilter),
    Count(TaskFilter),
    Task(String),
    History(TaskId),
    Log(TaskId),
    Result(TaskId),
    Family(TaskId),
    Sessions(SessionFilter),
    Dead(DeadFilter),
    Parked(ParkedFilter),
    Services,
    Types,
    Living,
}

/// With one filter.
const LIST: Duration = Duration::from_millis(50);
/// Any other page.
const PAGE: Duration = Duration::from_millis(100);
/// One that may have to give up and look at the nearest tasks only, or may count for some time.
const CUT: Duration = Duration::from_millis(500);

/// Ten thousand whole rows.
const ALL: Duration = Duration::from_secs(1);

/// First of a family of so many.
const TEN_THOUSAND: &str = "family-of-ten-thousand";

/// Every filter alone; see [`filter`].
const SINGLE: [&str; 20] = [
    "",
    "service=demo",
    "service=report",
    "service=none",
    "type=demo.kind0",
    "type=report.kind39",
    "type=demo.none",
    "creator=system",
    "creator=user40000",
    "creator=nobody",
    "related=1234",
    "related=nothing",
    "root=first-of-500000",
    "root=family-of-ten-thousand",
    "type=demo.kind0; identifier=nightly-0-500000",
    "session=harvest-50",
    "session=none",
    "since=0",
    "since=900",
    "until=100",
];

/// Several, and several that nothing matches though each alone matches many.
const COMBINED: [&str; 11] = [
    "service=demo; state=FAILURE",
    "service=report; state=FAILURE",
    "service=demo; state=SUCCESS",
    "type=demo.kind0; state=FAILURE",
    "type=report.kind39; state=FAILURE",
    "type=report.kind39; state=SUCCESS",
    "creator=system; state=SUCCESS",
    "creator=user40000; state=FAILURE",
    "type=demo.kind0; since=91; until=90",
    "state=FAILURE; since=91; until=90",
    "session=harvest-50; state=FAILURE",
];

/// What no index serves: all that either filter alone matches would have to be read.
const HOPELESS: [&str; 2] = [
    "creator=system; state=FAILURE",
    "creator=system; service=none",
];

const SEARCHED: [&str; 17] = [
    "text=no answer from host",
    "text=host number 7 within",
    "text=stars were not",
    "text=no such error at all",
    "text=host number 7 within; state=FAILURE",
    "text=nightly-0-500000",
    "text=nightly",
    "text=kind39",
    "text=kind",
    "text=demo.kind1; state=FAILURE",
    "text=user40000",
    "text=user1",
    "text=1234",
    "text=maps.map:1234",
    "text=42",
    "text=demo@host3",
    "text=zzzzzz",
];

/// The filter that a line like `service=demo; since=3` means; times are days ago.
fn filter(now: DateTime<Utc>, line: &str) -> TaskFilter {
    let mut filter = TaskFilter::default();
    let parts = line.split("; ").filter_map(|part| part.split_once('='));
    for (key, value) in parts {
        let text = Some(value.to_owned());
        let time = || now - TimeDelta::days(value.parse().expect("a number of days"));
        match key {
            "state" => filter.state = value.parse().ok(),
            "service" => filter.service = text,
            "type" => filter.name = text,
            "creator" => filter.creator = text,
            "related" => filter.related = text.map(|id| ("projects.project".to_owned(), id)),
            "root" => filter.root = text,
            "identifier" => filter.identifier = text,
            "session" => filter.session = text,
            "text" => filter.text = text,
            "since" => filter.since = Some(time()),
            "until" => filter.until = Some(time()),
            _ => panic!("no filter is called {key}"),
        }
    }
    filter
}

/// The place of a task that was sent so many days before `now`.
fn days_ago(now: DateTime<Utc>, days: i64) -> Cursor {
    let at = now - TimeDelta::days(days);
    let place = format!("{}-m", at.timestamp_micros());
    place.parse().expect("a place")
}

/// All questions. `failed` and `other` are tasks that there are.
pub(crate) fn asks(now: DateTime<Utc>, failed: &TaskId, other: &str) -> Vec<Ask> {
    let mut asks = Vec::new();
    let mut add = |what: String, how, within| asks.push(Ask { what, how, within });
    let states = TaskState::ALL.map(|state| format!("state={state}"));
    for line in SINGLE.into_iter().chain(states.iter().map(String::as_str)) {
        let filter = filter(now, line);
        add(format!("list {line}"), How::Page(filter.clone()), LIST);
        let (back, mut other) = (Some(days_ago(now, 120)), filter.clone());
        other.after.clone_from(&back);
        add(
            format!("list {line}, after 120 days"),
            How::Page(other),
            LIST,
        );
        let mut other = filter.clone();
        other.before = back;
        add(
            format!("list {line}, before 120 days"),
            How::Page(other),
            LIST,
        );
        let mut other = filter.clone();
        other.order = TaskOrder::OldestFirst;
        add(format!("list {line}, oldest first"), How::Page(other), LIST);
        add(format!("count {line}"), How::Count(filter), PAGE);
    }
    for (lines, of_list) in [(&COMBINED[..], PAGE), (&HOPELESS, CUT), (&SEARCHED, PAGE)] {
        for line in lines {
            let filter = filter(now, line);
            add(format!("list {line}"), How::Page(filter.clone()), of_list);
            add(format!("count {line}"), How::Count(filter), CUT);
        }
    }
    for id in [failed.as_str(), &failed.as_str()[..13], other] {
        let filter = filter(now, &format!("text={id}"));
        add(format!("list text={id}"), How::Page(filter), PAGE);
    }
    for (what, how) in others(now, failed, other) {
        let of_all = matches!(&how, How::Family(root) if root.as_str() == TEN_THOUSAND);
        let within = if of_all { ALL } else { PAGE };
        add(what.to_owned(), how, within);
    }
    asks
}

/// What other pages ask.
fn others(now: DateTime<Utc>, failed: &TaskId, other: &str) -> Vec<(&'static str, How)> {
    let id = |id| TaskId::new(id).expect("an id");
    let back = || Some(days_ago(now, 10));
    let sessions = |change: fn(&mut SessionFilter)| {
        let mut filter = SessionFilter {
            limit: 50,
            ..SessionFilter::default()
        };
        change(&mut filter);
        How::Sessions(filter)
    };
    let dead = |change: fn(&mut DeadFilter), after| {
        let mut filter = DeadFilter {
            limit: 50,
            after,
            ..DeadFilter::default()
        };
        change(&mut filter);
        How::Dead(filter)
    };
    let parked = |after| {
        How::Parked(ParkedFilter {
            limit: 50,
            after,
            ..ParkedFilter::default()
        })
    };
    let of = |text: &str| Some(text.to_owned());
    let far = SessionFilter {
        limit: 50,
        after: back(),
        ..SessionFilter::default()
    };
    let reindex = SessionFilter {
        limit: 50,
        action: of("reindex"),
        ..SessionFilter::default()
    };
    let creator = SessionFilter {
        limit: 50,
        creator: of("user77"),
        ..SessionFilter::default()
    };
    vec![
        ("task", How::Task(other.to_owned())),
        ("history", How::History(failed.clone())),
        ("log", How::Log(failed.clone())),
        ("result", How::Result(failed.clone())),
        ("family", How::Family(id("first-of-500000"))),
        ("family of ten thousand", How::Family(id(TEN_THOUSAND))),
        ("sessions", sessions(|_| {})),
        ("sessions, after 10 days", How::Sessions(far)),
        (
            "sessions ONGOING",
            sessions(|filter| filter.status = "ONGOING".parse().ok()),
        ),
        (
            "sessions ABORTED",
            sessions(|filter| filter.status = "ABORTED".parse().ok()),
        ),
        ("sessions of an action", How::Sessions(reindex)),
        ("sessions of a creator", How::Sessions(creator)),
        ("dead", dead(|_| {}, None)),
        ("dead, after 10 days", dead(|_| {}, back())),
        (
            "dead of a service",
            dead(|filter| filter.service = Some("export".to_owned()), None),
        ),
        (
            "dead for a reason",
            dead(|filter| filter.reason = Some("rejected".to_owned()), None),
        ),
        ("parked", parked(None)),
        ("parked, after 10 days", parked(back())),
        ("services", How::Services),
        ("types", How::Types),
        ("living states", How::Living),
    ]
}
