//! What is asked of workers means something for rows of tasks. Who asks writes that himself, if he may; what
//! is asked by somebody who may only ask is done here, and what was done already stays as it is.

use counterfoil_store::record::{ControlRow, TaskRow};
use counterfoil_store::{Batch, Cancelling, HeldBack, Store, StoreError};
use counterfoil_toolbox::control::Order;
use counterfoil_toolbox::ids::TaskId;
use std::collections::HashMap;

/// Does to the rows of tasks what these mean, in their order, and ends what they replace.
pub(crate) async fn give_effect(store: &dyn Store, rows: &[ControlRow]) -> Result<(), StoreError> {
    let holds = rows.iter().filter(|row| row.ends_at.is_none());
    let orders = |row: &ControlRow| Order::from_parts(&row.kind, &row.subject, row.run);
    let ids: Vec<TaskId> = rows.iter().filter_map(orders).filter_map(subject).collect();
    let tasks = store.tasks_with_ids(&ids).await?.into_iter();
    let tasks: HashMap<TaskId, TaskRow> = tasks.map(|row| (row.task_id.clone(), row)).collect();
    let mut batch = Batch::new();
    for row in rows {
        batch.ask_again(row);
        match orders(row) {
            Some(Order::Release { task_id }) if tasks.contains_key(&task_id) => {
                batch.hold_back(&task_id, HeldBack::No);
            }
            Some(Order::Hold { task_id }) if row.ends_at.is_none() => {
                let waits = |task: &&TaskRow| Cancelling::of(task) == Cancelling::BeforeStart;
                if tasks.get(&task_id).filter(waits).is_some() {
                    batch.hold_back(&task_id, HeldBack::Yes);
                }
            }
            _ => {}
        }
    }
    for row in holds {
        let members = match orders(row) {
            Some(Order::Revoke { task_id, .. }) => {
                tasks.get(&task_id).cloned().into_iter().collect()
            }
            Some(Order::RevokeFamily { root_id, .. }) => store.family(&root_id).await?,
            _ => Vec::new(),
        };
        let meant = members
            .iter()
            .filter(|task| row.run.is_some_and(|run| task.run <= run));
        for task in meant {
            batch.revoke(task, row.created_by.as_deref(), row.created_date);
        }
    }
    for row in rows.iter().filter(|row| row.ends_at.is_none()) {
        if let Some(Order::RevokeSession { session_id }) = orders(row) {
            batch.session_is_aborted(&session_id, row.created_by.as_deref());
        }
    }
    store.apply(&batch).await?;
    Ok(())
}

fn subject(order: Order) -> Option<TaskId> {
    match order {
        Order::Revoke { task_id, .. } | Order::Hold { task_id } | Order::Release { task_id } => {
            Some(task_id)
        }
        Order::RevokeFamily { .. }
        | Order::RevokeSession { .. }
        | Order::TimeOutSession { .. }
        | Order::SessionIs { .. }
        | Order::PauseService { .. }
        | Order::ResumeService { .. }
        | Order::Quiet { .. }
        | Order::Stop { .. } => None,
    }
}
