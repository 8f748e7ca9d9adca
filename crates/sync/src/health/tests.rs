//! When the daemon is ready, alive, stuck or behind.

use super::*;
use counterfoil_store::StoreError;

fn running() -> (Health, watch::Sender<SubscriptionStatus>) {
    let health = Health::new(100, Duration::from_secs(60));
    let (status, told) = watch::channel(SubscriptionStatus::Consuming);
    health.watch(vec![(Feed::Tracking, told)]);
    health.database_answered();
    (health, status)
}

fn away() -> StoreError {
    StoreError::BadUrl {
        why: "as the test wants it".to_owned(),
    }
}

#[tokio::test]
async fn a_daemon_that_consumes_and_writes_is_ready() {
    assert!(
        !Health::new(100, Duration::from_secs(60)).report().ready,
        "it has not begun"
    );
    let (health, _status) = running();
    let report = health.report();
    assert!(report.ready && report.alive, "{:?}", report.problems);
    assert_eq!(report.line(), "0 messages written, 0 waiting");
}

#[tokio::test]
async fn each_trouble_is_named_until_it_is_over() {
    let (health, status) = running();
    status.send_replace(SubscriptionStatus::Down {
        reason: "no queue".to_owned(),
        transient: false,
    });
    health.database_failed(&away());
    health.canary(Canary::Missed {
        sent_at: Utc::now(),
        missing: vec!["events"],
    });
    let report = health.report();
    assert_eq!(report.problems.len(), 3, "{:?}", report.problems);
    assert_eq!(report.line(), "queue of tracking: no queue (and 2 more)");
    status.send_replace(SubscriptionStatus::Consuming);
    health.committed();
    health.canary(Canary::Unknown);
    assert!(health.report().ready);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_does_not_go_round_is_stuck() {
    let (health, _status) = running();
    tokio::time::advance(STUCK).await;
    assert!(!health.is_alive());
    assert_eq!(health.report().problems, ["the loop is stuck"]);
    health.tick();
    assert!(health.is_alive());
}

#[tokio::test]
async fn a_daemon_that_is_far_behind_is_not_ready_and_says_by_how_much() {
    let (health, _status) = running();
    health.backlog(Feed::Tracking, 100);
    assert!(health.report().ready);
    health.backlog(Feed::Tracking, 101);
    assert_eq!(
        health.report().problems,
        ["far behind: 101 messages wait in the queue of tracking"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_with_a_deadline_of_its_own_is_not_being_stuck() {
    let (health, _status) = running();
    let long = tokio::time::sleep(STUCK * 3);
    let looking_on = async {
        tokio::time::sleep(STUCK * 2).await;
        health.is_alive()
    };
    let (_, alive) = tokio::join!(health.while_waiting(long), looking_on);
    assert!(alive);
}

#[tokio::test(start_paused = true)]
async fn messages_that_wait_too_long_are_a_trouble() {
    let (health, _status) = running();
    health.holds(7, Some(Instant::now()));
    tokio::time::advance(Duration::from_secs(31)).await;
    health.tick();
    let report = health.report();
    assert_eq!(report.problems, ["7 messages wait to be written"]);
    assert_eq!(report.oldest_in_hand_ms, 31_000);
}
