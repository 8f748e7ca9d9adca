//! What people did here.

use super::{Answer, Layout, render};
use crate::access::Visitor;
use crate::app::Shared;
use crate::query::{asked, encoded};
use crate::shown::{When, visible};
use crate::trouble::Trouble;
use askama::Template;
use axum::Extension;
use axum::extract::{Query, State as Shares};
use counterfoil_store::{ActionFilter, OperatorAction, Part};
use serde::Deserialize;

/// Rows of a page.
const PAGE: u32 = 100;

#[derive(Debug, Template)]
#[template(path = "audit.html")]
struct AuditPage {
    layout: Layout,
    query: AuditQuery,
    rows: Vec<Row>,
    /// Query of the next page, if there is one.
    next: Option<String>,
}

/// What is asked for. What is empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct AuditQuery {
    who: String,
    action: String,
    subject: String,
    cursor: String,
}

#[derive(Debug)]
struct Row {
    at: When,
    who: String,
    role: String,
    address: String,
    action: String,
    kind: String,
    subject: String,
    /// Of its page, where it is a task.
    task: Option<String>,
    outcome: String,
    class: &'static str,
}

/// `GET /audit`
pub(crate) async fn page(
    Shares(app): Shares<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<AuditQuery>,
) -> Answer {
    let after = asked(&query.cursor).map(|cursor| cursor.parse());
    let filter = ActionFilter {
        who: asked(&query.who),
        action: asked(&query.action),
        subject: asked(&query.subject),
        after: after
            .transpose()
            .map_err(|_| Trouble::bad("cursor: it is of no page"))?,
        // One more than is shown tells that there are more.
        limit: PAGE + 1,
        ..ActionFilter::default()
    };
    let part = Part::of(app.store.operator_actions(&filter).await?, PAGE);
    render(&AuditPage {
        layout: Layout::new(&visitor, "/audit", "Audit"),
        next: part.end().map(|row| {
            let (who, action) = (encoded(&query.who), encoded(&query.action));
            let subject = encoded(&query.subject);
            format!(
                "who={who}&action={action}&subject={subject}&cursor={}",
                row.id
            )
        }),
        rows: part.rows.iter().map(row).collect(),
        query,
    })
}

fn row(row: &OperatorAction) -> Row {
    let kind = row.subject_kind.as_deref().unwrap_or_default();
    let subject = row.subject.as_deref().unwrap_or_default();
    let is_id = subject.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Row {
        at: When::of(row.at),
        who: visible(&row.who),
        role: visible(&row.role),
        address: visible(row.address.as_deref().unwrap_or_default()),
        action: visible(&row.action.replace('_', " ")),
        kind: visible(kind),
        subject: visible(subject),
        task: (kind == "task" && is_id).then(|| subject.to_owned()),
        class: if is_good(&row.outcome) { "good" } else { "bad" },
        outcome: visible(&row.outcome),
    }
}

/// Whether all of it was done, as outcomes of one thing and of several say.
fn is_good(outcome: &str) -> bool {
    outcome == "done" || outcome.ends_with(": done") || outcome.ends_with(", 0 not done")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_whole_is_good_and_what_was_not_is_bad() {
        let good = ["done", "demo: done", "3 done, 0 asked, 0 not done"];
        let bad = [
            "no task has the id \"x\"",
            "3 done, 0 asked, 10 not done; it is SUCCESS already",
            "demo: 0 done, 0 asked, 10 not done",
        ];
        assert!(good.iter().all(|outcome| is_good(outcome)));
        assert!(!bad.iter().any(|outcome| is_good(outcome)));
    }
}
