use super::*;
use uuid::Uuid;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
}

fn canary(second: i64, tracked: bool) -> CanaryRow {
    CanaryRow {
        id: Uuid::from_u128(u128::from(second.unsigned_abs())),
        sent_at: at(second),
        tracked_at: tracked.then(|| at(second + 1)),
        unroutable_at: None,
        event_at: None,
    }
}

fn depth(ready: u32, consumers: u32) -> QueueDepth {
    QueueDepth { ready, consumers }
}

#[test]
fn the_canary_that_came_through_last_tells_how_far_a_daemon_is_or_else_the_first_that_did_not() {
    let canaries = [canary(30, false), canary(20, true), canary(10, true)];
    assert_eq!(last_written(&canaries, CanaryPlace::Tracking), Some(at(20)));
    assert_eq!(last_written(&canaries, CanaryPlace::Events), Some(at(10)));
    assert_eq!(last_written(&[], CanaryPlace::Tracking), None);
}

#[test]
fn a_queue_is_unread_while_many_wait_or_nobody_reads_or_what_was_read_is_not_written() {
    let (fresh, old) = (Some(at(9)), Some(at(1)));
    let since = at(5);
    assert_eq!(unread(&depth(500, 1), fresh, since), None);
    assert_eq!(
        unread(&depth(501, 1), fresh, since),
        Some(Unread::Waits(501))
    );
    assert_eq!(unread(&depth(1, 0), fresh, since), Some(Unread::Waits(1)));
    assert_eq!(
        unread(&depth(0, 1), old, since),
        Some(Unread::InHand(at(1)))
    );
    assert_eq!(
        unread(&depth(0, 0), old, since),
        None,
        "nobody has anything in hand"
    );
    assert_eq!(
        unread(&depth(0, 1), None, since),
        None,
        "no daemon ever ran"
    );
}

#[test]
fn canaries_are_through_when_each_of_them_was_seen() {
    let rows = [canary(30, true), canary(20, false)];
    let sent = |ids: &[u128]| Canaries(ids.iter().copied().map(Uuid::from_u128).collect());
    let are_through = |ids: &[u128]| sent(ids).are_through(&rows, CanaryPlace::Tracking);
    assert!(are_through(&[]) && are_through(&[30]));
    assert!(!are_through(&[20]) && !are_through(&[30, 20]) && !are_through(&[30, 99]));
}

#[test]
fn how_seldom_canaries_are_sent_is_told_by_those_that_were() {
    let rows = [canary(100, true), canary(99, true), canary(39, true)];
    assert_eq!(longest_gap(&rows), TimeDelta::seconds(60));
    assert_eq!(longest_gap(&rows[..1]), TimeDelta::zero());
}
