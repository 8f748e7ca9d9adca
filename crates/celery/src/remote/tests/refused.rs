//! What nobody can ask of a worker.

use super::*;

#[tokio::test]
async fn nobody_has_a_worker_consume_the_queues_of_the_platform() -> anyhow::Result<()> {
    let mut asker = Asker::start("w1@vm").await?;
    let names = asker.platform.names().clone();
    for queue in [
        names.events_queue.as_str(),
        names.tracking_queue.as_str(),
        "export.dead",
        "celery_delayed_3",
    ] {
        let answer = asker.answer("add_consumer", json!({"queue": queue}));
        let error = answer.await?["error"].to_string();
        assert!(error.contains(queue), "{error}");
        assert!(error.contains("the platform's own queues"), "{error}");
    }
    let answer = asker.answer("add_consumer", json!({"queue": "celery"}));
    assert_eq!(answer.await?, json!({"ok": "add consumer celery"}));
    asker.end().await
}

#[tokio::test]
async fn nobody_revokes_more_stamps_at_once_than_a_worker_remembers() -> anyhow::Result<()> {
    let mut asker = Asker::start("w1@vm").await?;
    let values: Vec<_> = (0..25_001).collect();
    let headers = json!({"one": values, "other": values});
    let answer = asker.answer("revoke_by_stamped_headers", json!({"headers": headers}));
    let error = answer.await?["error"].to_string();
    assert!(error.contains("50002 values"), "{error}");
    asker.end().await
}

#[tokio::test]
async fn one_value_of_many_revokes_a_task_that_has_many() -> anyhow::Result<()> {
    let mut asker = Asker::start("w1@vm").await?;
    let mut content = Content::json("[[600], {}, null]");
    for (name, value) in [("task", "tasks.sleep"), ("id", "t1")] {
        content.headers.push(name, value);
    }
    let own: Vec<_> = (0..10_000).map(HeaderValue::Int).collect();
    let mut stamps = Headers::new();
    stamps.push("batch", HeaderValue::List(own));
    content.headers.push("stamps", HeaderValue::Table(stamps));
    let publication = Publication {
        exchange: asker.platform.names().tasks.clone(),
        routing_key: RoutingKey::new("tasks.sleep")?,
        content,
    };
    asker.publisher.publish(publication).await?;
    let mut runs = Value::Null;
    while runs.as_array().is_none_or(Vec::is_empty) {
        runs = asker.answer("active", json!({})).await?;
    }
    let others: Vec<_> = (9_999..59_999).collect();
    let headers = json!({"batch": others});
    let arguments = json!({"headers": headers, "terminate": true});
    let answer = asker.answer("revoke_by_stamped_headers", arguments).await?;
    let said = answer["ok"].to_string();
    assert!(said.contains("{'batch': {9999}}) revoked"), "{said}");
    asker.end().await
}
