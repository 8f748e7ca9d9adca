//! What `counterfoil-sync` does for tasks that a lost worker had taken over from the broker.

use super::told::is_last;
use super::trial::Inner;
use counterfoil_toolbox::delay::without_delay;
use counterfoil_toolbox::event::Event;
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::message::encode_again;
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::transport::{Publication, PublisherOptions};
use std::sync::Weak;
use std::time::Duration;

/// Pause before what could not be sent is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends the tasks again that were `worker`'s alone, each when its lease has ended.
pub(super) async fn rescue(trial: Weak<Inner>, worker: WorkerId) {
    // Its last events may be on their way.
    tokio::time::sleep(PAUSE).await;
    let Some(trial) = trial.upgrade() else { return };
    let is_its = |event: &&Event| {
        let is_open = event.lease.is_some() && !is_last(event);
        is_open && event.worker.as_ref() == Some(&worker)
    };
    let its = || -> Vec<Event> {
        let told = trial.told.borrow();
        told.values().filter(is_its).cloned().collect()
    };
    let leases = its().into_iter().filter_map(|event| event.lease);
    let Some(lease) = leases.map(|lease| lease.ms).max() else {
        return;
    };
    tokio::time::sleep(Duration::from_millis(lease.into())).await;
    // What was told meanwhile counts.
    for event in its() {
        trial.send_again(&event).await;
    }
}

impl Inner {
    async fn send_again(&self, event: &Event) {
        let publisher = self
            .platform
            .transport()
            .publisher(PublisherOptions::mandatory());
        loop {
            if let Ok(Some(publication)) = self.next_attempt(event).await
                && publisher.publish(publication).await.is_ok()
            {
                let number = self.number_of(&event.task_id);
                return self.note(format!(
                    "{} #{number} is sent again: its worker is gone",
                    event.task
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The task as the platform sends it again. `None`: nobody knows its message.
    async fn next_attempt(&self, event: &Event) -> anyhow::Result<Option<Publication>> {
        let scheduled = self.platform.scheduled().await?;
        let Some(task) = scheduled.iter().find(|task| *task.id() == event.task_id) else {
            return Ok(None);
        };
        let mut envelope = task.envelope().clone();
        envelope.lineage = Lineage {
            run: event.lineage.run,
            rescue: event.lineage.rescue.saturating_add(1),
            executions: event.lineage.retries(),
            deliveries: 0,
            tries: 0,
        };
        envelope.restarts = event
            .lease
            .map_or(0, |lease| lease.restarts)
            .saturating_add(1);
        let (content, key, payload) = task.message();
        Ok(Some(Publication {
            exchange: self.platform.names().requeue.clone(),
            routing_key: without_delay(key),
            content: encode_again(content, &envelope, payload),
        }))
    }
}
