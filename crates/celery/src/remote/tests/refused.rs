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
