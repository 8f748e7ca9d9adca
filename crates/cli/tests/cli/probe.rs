//! `doctor --probe`: messages go through, and nobody takes them for tasks.

use crate::broken::failed;
use crate::doctor::checks;
use crate::program::Ran;
use crate::stage::{Stage, on_both_databases};
use counterfoil_store::{DeadFilter, ParkedFilter, TaskFilter};
use counterfoil_testkit::eventually;
use counterfoil_toolbox::names::CANARY;
use counterfoil_toolbox::transport::{
    SubscribeOptions, Subscription, SubscriptionStatus, Transport,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

on_both_databases!(a_right_set_up_is_green_and_leaves_nothing_behind);

/// Somebody who consumes the queue of a service and knows nothing of probes: an old worker, or one in Python.
struct Stranger {
    got: watch::Receiver<Vec<String>>,
    running: JoinHandle<()>,
}

impl Stranger {
    async fn consuming(transport: Arc<dyn Transport>, queue: &str) -> anyhow::Result<Self> {
        let options = SubscribeOptions::new(queue.parse()?, 50);
        let mut subscription = Subscription::open(transport, options);
        let mut status = subscription.status();
        status
            .wait_for(|status| *status == SubscriptionStatus::Consuming)
            .await?;
        let (to_test, got) = watch::channel(Vec::new());
        let running = tokio::spawn(async move {
            while let Some(delivery) = subscription.next().await {
                let name = delivery
                    .content
                    .headers
                    .text("task")
                    .unwrap_or_default()
                    .to_owned();
                to_test.send_modify(|got| got.push(name));
                let _ = delivery.ack();
            }
        });
        Ok(Self { got, running })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn probed(stage: &Stage, code: i32) -> Ran {
    let probe = ["doctor", "--probe", "--json"];
    stage.program.run(&probe).await.ends_with(code)
}

/// Nothing in any list of the platform, and nothing in any queue but the signs of the daemon.
async fn nothing_is_left(stage: &Stage) -> anyhow::Result<()> {
    assert!(stage.store.tasks(&TaskFilter::default()).await?.is_empty());
    assert!(
        stage
            .store
            .parked(&ParkedFilter::default())
            .await?
            .is_empty()
    );
    assert!(stage.store.dead(&DeadFilter::default()).await?.is_empty());
    for queue in stage.vhost.queues().await? {
        if queue != "platform.heartbeats" && queue != "platform.control" {
            assert_eq!(stage.ready(&queue).await?, 0, "{queue}");
        }
    }
    Ok(())
}

async fn a_right_set_up_is_green_and_leaves_nothing_behind(stage: Stage) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let stranger = Stranger::consuming(Arc::clone(&stage.transport), "demo").await?;
    let queues = stage.vhost.queues().await?;
    let green = async || {
        let ran = probed(&stage, 0).await;
        let is_ok = |check: &serde_json::Value| check["outcome"] == "ok";
        Ok(ran.documents().iter().all(is_ok).then_some(ran))
    };
    // The daemon's first canary may be on its way.
    let ran = eventually("everything to be green", crate::stage::SOON, green).await?;
    eprintln!("a right set-up was green after {:?}", ran.took);
    let told: Vec<_> = checks(&ran, "probe")
        .into_iter()
        .map(|(_, told)| told)
        .collect();
    assert_eq!(
        told,
        [
            "what is sent to task_exchange, task_exchange.requeue, celery_delayed_delivery reaches queue demo, once each",
            "queue platform.fifo got a copy of each, once",
        ]
    );
    let (_, results) = checks(&ran, "results").remove(0);
    assert!(
        results.starts_with("what was sent and reported was in the database "),
        "{results}"
    );
    assert_eq!(
        checks(&ran, "broker clock"),
        [("ok".into(), "the broker's clock is ours".into())]
    );
    assert_eq!(stranger.got.borrow().len(), 0);
    assert_eq!(stage.vhost.queues().await?, queues);
    drop(stranger);
    daemon.stop().await?;
    nothing_is_left(&stage).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_probe_reaches_a_foreign_worker_and_every_task_does_while_both_come_at_once()
-> anyhow::Result<()> {
    let stage = Stage::sqlite().await?;
    let mut stranger = Stranger::consuming(Arc::clone(&stage.transport), "demo").await?;
    let sending = async {
        for number in 0..60 {
            let content = counterfoil_toolbox::message::Content::json("[[], {}, {}]");
            let mut content = content;
            content.headers.push("task", "demo.add");
            content.headers.push("id", format!("t{number}").as_str());
            stage
                .publish(&stage.names.tasks, "demo.add", content)
                .await?;
            // Spread over the probes: a pace, not a wait.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    let probing = async {
        for _ in 0..6 {
            let _ = stage.program.run(&["doctor", "--probe", "--json"]).await;
        }
    };
    let (sent, ()) = tokio::join!(sending, probing);
    sent?;
    let all = stranger
        .got
        .wait_for(|got| got.iter().filter(|name| *name == "demo.add").count() >= 60);
    tokio::time::timeout(crate::stage::SOON, all).await??;
    assert!(!stranger.got.borrow().iter().any(|name| name == CANARY));
    assert_eq!(stage.ready("demo").await?, 0);
    assert_eq!(stage.ready("demo.dead").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_binding_is_found_by_the_message_that_does_not_arrive() -> anyhow::Result<()> {
    let stage = Stage::sqlite().await?;
    let daemon = stage.daemon();
    let management = stage.vhost.broker().management();
    let binding = format!(
        "/bindings/{}/e/task_exchange.work/q/demo/demo.%23",
        stage.vhost.name()
    );
    management.delete(&binding).await?;
    // Nothing else can tell.
    stage.program.run(&["doctor"]).await.ends_with(0);
    let ran = probed(&stage, 1).await;
    let told = checks(&ran, "probe").into_iter();
    let lost: Vec<_> = told.filter(|(outcome, _)| outcome == "fail").collect();
    let lost: Vec<_> = lost.iter().map(|(_, told)| told.as_str()).collect();
    let what = |exchange: &str| {
        format!(
            "a message to exchange {exchange} with the key \"demo.counterfoil-probe\" did not reach queue demo: a \
             binding is missing"
        )
    };
    assert_eq!(lost, [what("task_exchange"), what("task_exchange.requeue")]);
    assert!(
        ran.stdout
            .contains("run `counterfoil topology apply`, which sets every binding")
    );
    stage.program.run(&["topology", "apply"]).await.ends_with(0);
    probed(&stage, 0).await;
    daemon.stop().await?;
    nothing_is_left(&stage).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_daemon_the_probe_says_so_and_leaves_nothing_for_it() -> anyhow::Result<()> {
    let stage = Stage::sqlite().await?;
    let (detail, remedy) = failed(&probed(&stage, 1).await, "results");
    let what = "counterfoil-sync does not run: nobody consumes queue platform.fifo";
    assert!(detail.starts_with(what), "{detail}");
    assert!(
        remedy.contains("`systemctl start counterfoil-sync`"),
        "{remedy}"
    );
    assert!(stage.store.canaries(1).await?.is_empty());
    nothing_is_left(&stage).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_in_which_tasks_wait_is_left_alone() -> anyhow::Result<()> {
    let stage = Stage::sqlite().await?;
    let daemon = stage.daemon();
    stage.program.run(&["send", "demo.add"]).await.ends_with(0);
    stage.program.run(&["send", "demo.add"]).await.ends_with(0);
    let ran = probed(&stage, 0).await;
    let (outcome, detail) = checks(&ran, "probe").remove(0);
    assert_eq!(outcome, "warn");
    assert_eq!(detail, "queue demo was left alone: 2 messages wait in it");
    for _ in 0..2 {
        let delivery = stage.take("demo").await?;
        assert_eq!(delivery.delivery_count(), 0, "nobody had it in hand");
        let _ = delivery.ack();
    }
    daemon.stop().await
}
