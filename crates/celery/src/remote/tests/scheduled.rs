//! What waits for its time.

use super::Asker;
use anyhow::ensure;
use chrono::{TimeDelta, Utc};
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::RoutingKey;
use counterfoil_toolbox::transport::Publication;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_task_that_came_before_its_time_is_shown_though_it_waits_at_the_broker()
-> anyhow::Result<()> {
    let mut asker = Asker::start("w1@vm").await?;
    let eta = Utc::now() + TimeDelta::hours(1);
    let mut content = Content::json("[[1, 2], {}, null]");
    for (name, value) in [
        ("task", "tasks.add"),
        ("id", "t1"),
        ("eta", &eta.to_rfc3339()),
    ] {
        content.headers.push(name, value);
    }
    // As who knows of no delay levels sends it.
    let publication = Publication {
        exchange: asker.platform.names().tasks.clone(),
        routing_key: RoutingKey::new("tasks.add")?,
        content,
    };
    asker.publisher.publish(publication).await?;
    let mut shown = Value::Null;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        shown = asker.answer("scheduled", json!({})).await?;
        // The broker has it by then.
        if shown != json!([]) && asker.answer("reserved", json!({})).await? == json!([]) {
            break;
        }
    }
    let request = &shown[0]["request"];
    ensure!(
        request["id"] == "t1" && request["args"] == json!([1, 2]) && shown[0]["priority"] == 6,
        "{shown:#}"
    );
    ensure!(
        request["acknowledged"] == false && request["time_start"].is_null(),
        "{shown:#}"
    );
    let asked = asker.answer("query_task", json!({"ids": ["t1"]})).await?;
    ensure!(asked["t1"][0] == "scheduled", "{asked:#}");
    asker.end().await
}
