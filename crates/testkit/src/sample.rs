//! A row, for tests of what only looks at rows.

use chrono::DateTime;
use counterfoil_store::record::TaskRow;
use counterfoil_toolbox::{TaskId, TaskState};
use uuid::Uuid;

/// The row of `t1`, a `demo.add` in its first run, sent at second 1,800,000,000; what need not be known of a task is
/// not.
///
/// # Panics
/// Never: what it is made of is valid.
#[must_use]
pub fn task_row(state: TaskState) -> TaskRow {
    let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
    TaskRow {
        id: "pub1".to_owned(),
        task_id: TaskId::new("t1").expect("valid"),
        name: "demo.add".to_owned(),
        service: "demo".to_owned(),
        state,
        run: 0,
        rescue: 0,
        executions: 0,
        deliveries: 0,
        tries: 0,
        event_id: Uuid::nil(),
        input: None,
        options: None,
        exchange: None,
        routing_key: None,
        creator_id: None,
        related_content_type: None,
        related_object_id: None,
        identifier: None,
        parent_id: None,
        root_id: None,
        session_id: None,
        immutable: false,
        is_result: false,
        held: false,
        progress_current: None,
        progress_total: None,
        progress_message: None,
        error_kind: None,
        error_message: None,
        eta: None,
        expires: None,
        retry_at: None,
        worker: None,
        lease_until: None,
        created_date: at,
        last_updated: at,
    }
}
