//! A task's message as its next attempt.

use counterfoil_store::StoredMessage;
use counterfoil_store::record::UnroutableTask;
use counterfoil_toolbox::Priority;
use counterfoil_toolbox::delay::without_delay;
use counterfoil_toolbox::message::names::{REASON, REASON_TEXT, RESCUE, RUN};
use counterfoil_toolbox::message::{Content, TaskMessage, encode_again};
use counterfoil_toolbox::names::RoutingKey;
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Publication;

/// The task as its next attempt, on the way that leaves no second tracking copy. It loses a class for
/// which its service has no queue: those are `missing`.
pub(super) fn again(
    names: &Names,
    task: &UnroutableTask,
    missing: &[Priority],
) -> Result<Publication, &'static str> {
    let key = RoutingKey::new(&task.message.routing_key);
    let mut key = without_delay(&key.map_err(|_| "its routing key is too long")?);
    if missing.contains(&class_of(task)) {
        key = Priority::without(&key);
    }
    Ok(Publication {
        exchange: names.requeue.clone(),
        routing_key: key,
        content: content(&task.message, task.next()),
    })
}

/// The class that the task was sent with.
pub(super) fn class_of(task: &UnroutableTask) -> Priority {
    Priority::of_key(&task.message.routing_key)
}

fn content(message: &StoredMessage, lineage: Lineage) -> Content {
    if let Ok(mut task) = TaskMessage::decode(&message.content) {
        task.envelope.lineage = lineage;
        return encode_again(&message.content, &task.envelope, &task.payload);
    }
    // Its body is no task's: the service's worker says so, and keeps it where dead ones are kept.
    let mut content = message.content.clone().without_broker_headers();
    content
        .headers
        .retain(|name| name != REASON && name != REASON_TEXT);
    content.headers.set(RESCUE, lineage.rescue);
    content.headers.set(RUN, lineage.run);
    content.properties.persistent = true;
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::TaskId;
    use counterfoil_toolbox::message::HeaderValue;

    fn task(routing_key: &str, body: &'static str) -> UnroutableTask {
        let mut content = Content::json(body);
        content.headers.push("task", "nobody.add");
        content.headers.push("id", "t1");
        content.headers.push("retries", 1);
        content.headers.push("x-death", HeaderValue::List(vec![]));
        content
            .headers
            .push("x-first-death-queue", "celery_delayed_1");
        content.headers.push("stamp", "kept");
        content.properties.expiration = Some("1000".into());
        UnroutableTask {
            task_id: TaskId::new("t1").expect("valid"),
            name: "nobody.add".to_owned(),
            lineage: Lineage {
                rescue: 2,
                executions: 1,
                ..Lineage::default()
            },
            place: "1-a".parse().expect("a place"),
            message: StoredMessage {
                exchange: "celery_delayed_delivery".into(),
                routing_key: routing_key.into(),
                content,
            },
        }
    }

    fn names() -> Names {
        Names::new("", "task_exchange", "platform.fifo").expect("valid")
    }

    #[test]
    fn a_task_is_sent_again_as_its_next_rescue_without_delay_and_traces_of_the_broker() {
        let delayed = format!("{}nobody.add", "0.".repeat(28));
        let sent = again(&names(), &task(&delayed, "[[1, 2], {}, {}]"), &[]).expect("sent");
        assert_eq!(sent.exchange, "task_exchange.requeue");
        assert_eq!(sent.routing_key, "nobody.add");
        let read = TaskMessage::decode(&sent.content).expect("a task");
        assert_eq!(
            (
                read.envelope.lineage.rescue,
                read.envelope.lineage.executions
            ),
            (3, 1)
        );
        assert_eq!(read.payload.args(), "[1, 2]");
        assert_eq!(sent.content.headers.text("stamp"), Some("kept"));
        assert!(
            sent.content
                .headers
                .iter()
                .all(|(name, _)| !name.starts_with("x-"))
        );
        assert_eq!(sent.content.properties.expiration, None);
    }

    #[test]
    fn a_class_is_kept_unless_the_service_has_no_queue_for_it() {
        let missing = &[Priority::High][..];
        for (key, missing, wanted) in [
            ("nobody~high.add", &[][..], "nobody~high.add"),
            ("nobody~high.add", missing, "nobody.add"),
            ("nobody~low.add", missing, "nobody~low.add"),
            ("nobody.add", missing, "nobody.add"),
        ] {
            for delay in [String::new(), "0.".repeat(28)] {
                let task = task(&format!("{delay}{key}"), "[[], {}, {}]");
                let sent = again(&names(), &task, missing).expect("sent");
                assert_eq!(sent.routing_key, wanted);
            }
        }
    }

    #[test]
    fn a_body_that_is_no_tasks_is_sent_as_it_is() {
        let sent = again(&names(), &task("nobody.add", "{ not JSON"), &[]).expect("sent");
        assert_eq!(&sent.content.body[..], b"{ not JSON");
        assert_eq!(sent.content.headers.int(RESCUE), Some(3));
        assert_eq!(sent.content.properties.expiration, None);
    }
}
