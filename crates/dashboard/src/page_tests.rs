//! What pages say of what is in the database.

use crate::act::LOOKED;
use crate::site_tests::Site;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_store::record::CanaryPlace;
use counterfoil_store::{Batch, DeadLetter, Parked, WorkerSeen};
use counterfoil_testkit::store_suite::{copy, copy_of, event, lineage};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::{EventKind, LogLine};
use counterfoil_toolbox::heartbeat::Phase;
use counterfoil_toolbox::ids::{TaskId, WorkerId};
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::TaskName;
use counterfoil_toolbox::topology::{self, QueueSettings};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use uuid::{NoContext, Timestamp, Uuid};

async fn page(site: &Site, path: &str) -> String {
    let (status, page) = site.get(path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {page}");
    page
}

/// An id that was made so many seconds after the start of 2026.
fn id_at(seconds: u64) -> TaskId {
    let at = Timestamp::from_unix(NoContext, 1_767_225_600 + seconds, 0);
    TaskId::from(Uuid::new_v7(at))
}

fn tracked(id: &TaskId, name: &str, parents: Option<(&TaskId, &TaskId)>, batch: &mut Batch) {
    let mut envelope = Envelope::new(id.clone(), TaskName::new(name).expect("a name"));
    if let Some((root, parent)) = parents {
        (envelope.root_id, envelope.parent_id) = (root.clone(), Some(parent.clone()));
    }
    batch.track(&copy_of(envelope));
}

#[tokio::test]
async fn a_family_is_a_tree_in_which_whoever_was_sent_stands_under_the_sender() {
    let site = Site::open().await;
    let [root, first, second, child] = [0, 1, 2, 3].map(id_at);
    let mut batch = Batch::new();
    tracked(&root, "demo.root", None, &mut batch);
    tracked(&first, "demo.first", Some((&root, &root)), &mut batch);
    tracked(&second, "demo.second", Some((&root, &root)), &mut batch);
    tracked(&child, "demo.child", Some((&root, &first)), &mut batch);
    site.store.apply(&batch).await.expect("written");
    let id = site.store.public_id(&child).expect("an id");
    let page = page(&site, &format!("/tasks/{id}")).await;
    let (_, tree) = page.split_once("<ul class=\"tree\"").expect("a tree");
    let (tree, _) = tree.split_once("</section>").expect("an end");
    // Only where lists begin and end, and who stands where.
    let mut outline = String::new();
    for part in tree.split('<') {
        let name = part.split_once('>').map(|(_, text)| text.trim());
        match part.split(['>', ' ']).next() {
            Some("ul") => outline.push('('),
            Some("/ul") => outline.push(')'),
            Some("bdi") => outline.push_str(name.unwrap_or_default()),
            _ => {}
        }
    }
    assert_eq!(outline, "demo.root(demo.first(demo.child)demo.second))");
    assert_eq!(tree.matches("<li").count(), tree.matches("</li>").count());
    assert!(tree.contains(&format!("href=\"/tasks/{id}\" aria-current=\"true\"")));
    assert!(
        !page.contains("those that were sent first"),
        "all are shown"
    );
    let parent = site.store.public_id(&first).expect("an id");
    assert!(page.contains(&format!("<dd><a href=\"/tasks/{parent}\">another task</a>")));
}

#[tokio::test]
async fn of_a_large_family_the_first_are_shown_with_the_task_itself_and_how_many_there_are() {
    let site = Site::open().await;
    let [root, middle, last] = [0, 1000, 1001].map(id_at);
    let mut batch = Batch::new();
    tracked(&root, "demo.root", None, &mut batch);
    for n in 1..=250 {
        tracked(&id_at(n), "demo.child", Some((&root, &root)), &mut batch);
    }
    tracked(&middle, "demo.middle", Some((&root, &root)), &mut batch);
    tracked(&last, "demo.last", Some((&root, &middle)), &mut batch);
    site.store.apply(&batch).await.expect("written");
    let id = site.store.public_id(&last).expect("an id");
    let page = page(&site, &format!("/tasks/{id}")).await;
    assert!(page.contains("These are 202 of 253,"), "{page}");
    assert!(page.contains(&format!("href=\"/tasks?root={id}&amp;order=oldest\"")));
    let under = page
        .split_once("<bdi>demo.middle</bdi>")
        .expect("its sender")
        .1;
    assert!(under.contains("<bdi>demo.last</bdi>"));
}

#[tokio::test]
async fn of_a_long_history_and_log_the_last_lines_are_shown_and_where_the_others_are() {
    let site = Site::open().await;
    let id = TaskId::random();
    let mut batch = Batch::new();
    batch.track(&copy(&id));
    for n in 0..310 {
        let mut line = event(&id, lineage(0, 0, 0), TaskState::Started);
        line.kind = EventKind::Log;
        line.at += TimeDelta::milliseconds(n);
        line.log = Some(LogLine {
            level: "info".into(),
            message: format!("line {n}."),
            fields: serde_json::Map::new(),
        });
        batch.event(&line);
    }
    site.store.apply(&batch).await.expect("written");
    let id = site.store.public_id(&id).expect("an id");
    let page = page(&site, &format!("/tasks/{id}")).await;
    assert!(page.contains("line 309.") && page.contains("line 10."));
    assert!(!page.contains("line 9."));
    assert!(page.contains(&format!("counterfoil task log {id}")));
    assert!(
        !page.contains("counterfoil task history"),
        "it is all there"
    );
}

#[tokio::test]
async fn a_worker_stands_with_what_it_runs_and_for_how_long() {
    let site = Site::open().await;
    let worker = WorkerId::new("demo@host.7.0a0b0c0d").expect("an id");
    let (task, now) = (TaskId::random(), Utc::now());
    let mut batch = Batch::new();
    batch.worker(WorkerSeen {
        id: worker.clone(),
        service: "demo".into(),
        host: "host".into(),
        pid: None,
        version: Some("1.2.3".into()),
        tasks: None,
        phase: Phase::Running,
        queues: Vec::new(),
        limits: BTreeMap::new(),
        leases: Vec::new(),
        running: 3,
        processed: 40,
        interval: Duration::from_secs(600),
        started_at: None,
        paused: Vec::new(),
        follows_control: true,
        heard_until: None,
        hands: BTreeMap::new(),
    });
    tracked(&task, "demo.long", None, &mut batch);
    let mut start = event(&task, lineage(0, 0, 0), TaskState::Started);
    start.at = now - TimeDelta::seconds(3605);
    batch.event(&start);
    site.store.apply(&batch).await.expect("written");
    let page = page(&site, "/workers").await;
    let id = site.store.public_id(&task).expect("an id");
    assert!(page.contains("1.2.3"), "{page}");
    assert!(
        page.contains(&format!("<a href=\"/tasks/{id}\"><bdi>demo.long</bdi></a> <span class=\"quiet\">for 1 h 00 min, since <time")),
        "{page}"
    );
    assert!(page.contains("and 2 more"), "{page}");
    let (_, json) = site.get("/api/workers").await;
    let workers: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(workers[0]["tasks"][0]["id"], serde_json::json!(id));
    assert!(workers[0]["tasks"][0]["started_at"].is_string());
}

#[tokio::test]
async fn tasks_that_wait_for_a_time_stand_beside_queues() {
    let site = Site::open().await;
    assert!(!page(&site, "/queues").await.contains("Delayed"));
    let mut batch = Batch::new();
    let mut envelope = Envelope::new(
        TaskId::random(),
        TaskName::new("export.project").expect("a name"),
    );
    envelope.eta = DateTime::from_timestamp(4_000_000_000, 0);
    batch.track(&copy_of(envelope));
    site.store.apply(&batch).await.expect("written");
    let page = page(&site, "/queues").await;
    let (_, delayed) = page.split_once("Delayed</h2>").expect("a heading");
    assert!(
        delayed.contains("<bdi class=\"name\">export</bdi>"),
        "{delayed}"
    );
    assert!(delayed.contains("2096-10-02T07:06:40"), "{delayed}");
    assert!(!delayed.contains("There may be more"));
}

#[tokio::test]
async fn what_the_overview_says_of_queues_is_asked_once_for_all_who_look_within_five_seconds() {
    let site = Site::open().await;
    let missing = "the queue platform.fifo is missing";
    assert!(page(&site, "/").await.contains(missing));
    let platform = &site.dashboard.app.platform;
    let queues = topology::platform(&platform.names, QueueSettings::default());
    let applied = topology::apply(&*platform.transport, queues).await;
    applied.expect("declared");
    let began = Instant::now();
    let again = page(&site, "/").await;
    if began.elapsed() < Duration::from_secs(1) {
        assert!(again.contains(missing), "the broker was asked again");
    }
    // Whoever wants to know it exactly looks at the queues.
    assert!(!page(&site, "/queues").await.contains("missing"));
}

#[tokio::test]
async fn the_overview_tells_where_letters_die_what_is_parked_and_that_the_mirror_is_behind() {
    let site = Site::open().await;
    let fine = page(&site, "/").await;
    assert!(!fine.contains("dead letter") && !fine.contains("The mirror"));
    let message = copy(&TaskId::random()).message;
    let mut batch = Batch::new();
    for minutes in [1, 2, 50] {
        batch.dead(DeadLetter {
            service: "demo".into(),
            reason: "exhausted".into(),
            reason_text: None,
            task_id: None,
            name: None,
            lineage: lineage(0, 0, 0),
            died_at: Some(Utc::now() - TimeDelta::minutes(minutes)),
            message: message.clone(),
        });
    }
    batch.park(Parked {
        queue: "platform.fifo".into(),
        reason: "too large".into(),
        task_id: None,
        name: None,
        message,
        waits: false,
    });
    let canary = Uuid::now_v7();
    batch.canary(canary, CanaryPlace::Tracking);
    site.store.canary_sent(canary).await.expect("written");
    site.store.apply(&batch).await.expect("written");
    let page = page(&site, "/").await;
    for told in [
        "<a href=\"/dead?service=demo\"><bdi>dead letters of demo grow: +2 in the last 10 minutes</bdi>",
        "3 dead letters within the last hour",
        "1 message that the platform could not read",
        "<p class=\"quiet\">The mirror was ",
    ] {
        assert!(page.contains(told), "{told:?} is not in {page}");
    }
}

#[tokio::test]
async fn before_something_is_done_to_all_that_match_people_see_to_how_many_of_them_it_can_be() {
    let site = Site::open().await;
    let mut batch = Batch::new();
    for number in 0..LOOKED as u64 {
        tracked(&id_at(number), "demo.many", None, &mut batch);
    }
    let few = [5000, 5001, 5002].map(id_at);
    for id in &few {
        tracked(id, "demo.few", None, &mut batch);
    }
    // One of the few is over.
    let mut over = event(&few[0], lineage(0, 0, 0), TaskState::Success);
    over.task = TaskName::new("demo.few").expect("a name");
    batch.event(&over);
    site.store.apply(&batch).await.expect("written");
    let few = page(&site, "/tasks/all/cancel?name=demo.few").await;
    assert!(few.contains("<h1>Cancel: 2 tasks</h1>"), "{few}");
    assert!(
        few.contains(">Cancel: 2 tasks</button>") && few.contains("Left out"),
        "{few}"
    );
    let many = page(&site, "/tasks/all/cancel?name=demo.many").await;
    let told = format!("<h1>Cancel: {LOOKED} tasks at least</h1>");
    assert!(
        many.contains(&told) && many.contains("up to 10000 tasks</button>"),
        "{many}"
    );
}
