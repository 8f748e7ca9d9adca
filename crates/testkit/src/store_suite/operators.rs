//! What people did through the dashboard.

use super::site::StoreSite;
use anyhow::{Context, ensure};
use chrono::TimeDelta;
use counterfoil_store::{ActionFilter, JsonText, OperatorDeed};
use uuid::Uuid;

fn deed(who: &str, action: &str, subject: Option<(&str, &str)>) -> OperatorDeed {
    OperatorDeed {
        id: Uuid::now_v7(),
        who: who.to_owned(),
        role: "operator".to_owned(),
        address: Some("192.0.2.7".to_owned()),
        action: action.to_owned(),
        subject: subject.map(|(kind, id)| (kind.to_owned(), id.to_owned())),
        detail: None,
        outcome: "done".to_owned(),
    }
}

/// Once, and found by everything that is asked for, page by page.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn what_somebody_did_is_recorded_once_and_found(site: &StoreSite) -> anyhow::Result<()> {
    let store = site.store();
    let deeds = [
        deed("ana", "rerun", Some(("task", "t1"))),
        deed("ana", "cancel", Some(("task", "t1"))),
        deed("bob", "cancel", Some(("session", "t1"))),
        deed("bob", "sign_in", None),
    ];
    for deed in deeds.iter().chain(&deeds) {
        store.record_deed(deed).await?;
    }
    let found = async |filter: ActionFilter| -> anyhow::Result<Vec<usize>> {
        let rows = store.operator_actions(&filter).await?;
        let place = |id| deeds.iter().position(|deed| deed.id == id);
        let places = rows.iter().map(|row| place(row.id).context("a deed"));
        places.collect()
    };
    let some = |text: &str| Some(text.to_owned());
    let all = ActionFilter::default();
    ensure!(found(all.clone()).await? == [3, 2, 1, 0]);
    for (filter, wanted) in [
        (
            ActionFilter {
                who: some("ana"),
                ..all.clone()
            },
            vec![1, 0],
        ),
        (
            ActionFilter {
                action: some("cancel"),
                ..all.clone()
            },
            vec![2, 1],
        ),
        (
            ActionFilter {
                subject: some("t1"),
                ..all.clone()
            },
            vec![2, 1, 0],
        ),
        (
            ActionFilter {
                subject_kind: some("task"),
                subject: some("t1"),
                action: some("rerun"),
                ..all.clone()
            },
            vec![0],
        ),
        (
            ActionFilter {
                limit: 2,
                ..all.clone()
            },
            vec![3, 2],
        ),
        (
            ActionFilter {
                after: Some(deeds[2].id),
                limit: 1,
                ..all.clone()
            },
            vec![1],
        ),
    ] {
        let found = found(filter.clone()).await?;
        ensure!(found == wanted, "{filter:?}: {found:?}");
    }
    let now = store.clock().await?;
    for (since, count) in [
        (now - TimeDelta::minutes(5), 4),
        (now + TimeDelta::minutes(5), 0),
    ] {
        let filter = ActionFilter {
            since: Some(since),
            ..all.clone()
        };
        ensure!(found(filter).await?.len() == count);
    }
    Ok(())
}

/// What cannot be stored of it is cut or left out, and the rest is recorded all the same.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_deed_with_texts_that_break_things_is_recorded(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let mut bad = deed(
        "a\0na",
        &"x".repeat(9000),
        Some(("task", &"y".repeat(9000))),
    );
    bad.outcome = "z".repeat(9000);
    bad.detail = JsonText::parse(r#"{"filter": "\u0000"}"#);
    store.record_deed(&bad).await?;
    let mut good = deed("ana", "delete", None);
    good.detail = JsonText::parse(r#"{"tasks": 17}"#);
    store.record_deed(&good).await?;
    let rows = store.operator_actions(&ActionFilter::default()).await?;
    let [second, first] = &rows[..] else {
        anyhow::bail!("{rows:?}");
    };
    ensure!(first.who == "ana" && first.detail.is_none());
    let lengths = (first.action.len(), first.subject.as_ref().map(String::len));
    ensure!(lengths == (500, Some(500)) && first.outcome.len() == 4000);
    let tasks = second.detail.as_ref().context("a detail")?.to_value();
    ensure!(tasks["tasks"] == 17 && second.subject_kind.is_none());
    ensure!(second.address.as_deref() == Some("192.0.2.7") && second.role == "operator");
    Ok(())
}
