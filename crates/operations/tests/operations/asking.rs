//! Why a task is where it is, and how full queues are.

use crate::site::{Site, demo, on_both_pairs};
use counterfoil_operations::why::{Broker, Explanation, why};
use counterfoil_operations::{Doer, queues, services};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::{BrokerSettings, SyncSettings};
use std::sync::Arc;

on_both_pairs!(
    a_task_is_explained_with_a_broker_and_without,
    queues_are_told_with_what_the_database_knows_and_without,
);

async fn asked(site: &Site, id: &str, broker: &Broker) -> anyhow::Result<Explanation> {
    let settings = SyncSettings::default();
    let asked = counterfoil_operations::why::Site {
        store: &*site.store,
        broker,
        names: &site.names,
        settings: &settings,
    };
    Ok(why(id, asked).await?)
}

async fn a_task_is_explained_with_a_broker_and_without(site: Site) -> anyhow::Result<()> {
    site.die("t1").await?;
    site.holds(0, 1).await?;
    let broker: Broker = Ok(Arc::clone(&site.transport));
    let told = asked(&site, "t1", &broker).await?;
    assert_eq!(told.place, "dead");
    let public = site.row("t1").await?.id;
    let redrive = format!("counterfoil dead redrive demo --id {public}");
    assert!(told.remedies[0].contains(&redrive), "{told:?}");
    assert_eq!(asked(&site, &public, &broker).await?, told);
    let json = serde_json::to_value(&told)?;
    assert_eq!(json["place"], "dead");

    let away: Broker = Err("nobody answers".to_owned());
    let told = asked(&site, "t1", &away).await?;
    assert_eq!(told.place, "dead");
    let details = told.details.join(" | ");
    assert!(
        details.contains("the broker cannot be asked: nobody answers"),
        "{details}"
    );

    let unknown = asked(&site, "t9", &broker).await?;
    assert!(unknown.is_of_nobody() && !told.is_of_nobody());
    site.store
        .delete_tasks(&["t1".parse()?], Some("ann"))
        .await?;
    let deleted = asked(&site, "t1", &broker).await?;
    assert!(deleted.answer.contains("was deleted by ann"), "{deleted:?}");
    Ok(())
}

async fn queues_are_told_with_what_the_database_knows_and_without(
    site: Site,
) -> anyhow::Result<()> {
    site.die("t1").await?;
    site.task("t2", TaskState::Pending).await?;
    site.holds(0, 1).await?;
    let doer = Doer::default();
    let asked = services::set(&*site.store, &demo(), services::Wanted::Paused, &doer).await?;
    assert!(asked.is_some());
    let again = services::set(&*site.store, &demo(), services::Wanted::Paused, &doer).await?;
    assert_eq!(again, None, "it was so already");

    let settings = BrokerSettings::default();
    let known = queues::known(&*site.store).await?;
    let lines = queues::look(&*site.transport, &site.names, &settings, Some(&known)).await?;
    let line = serde_json::to_value(&lines[0])?;
    let wanted = serde_json::json!({
        "queue": "demo", "service": "demo", "ready": 0, "consumers": 0, "dead": 1, "sent_per_minute": 2, "paused": true,
    });
    assert_eq!(line, wanted);
    let own = lines.iter().filter(|line| line.service.is_none());
    assert!(own.clone().all(|line| line.paused.is_none()));
    assert_eq!(own.count(), 7);

    let asked = services::set(&*site.store, &demo(), services::Wanted::Resumed, &doer).await?;
    assert!(asked.is_some());
    let settings = BrokerSettings {
        services: vec![demo()],
        ..settings
    };
    let lines = queues::look(&*site.transport, &site.names, &settings, None).await?;
    assert_eq!((lines[0].paused, lines[0].sent_per_minute), (None, None));
    assert_eq!(lines[0].dead, Some(1));
    Ok(())
}
