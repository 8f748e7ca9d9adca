//! Names of everything that counterfoil declares, with the prefix of those who share a vhost.

use crate::names::{ExchangeName, QueueName, RoutingKey, ServiceName, TaskName};
use crate::priority::Priority;
use crate::text::InvalidText;

/// Number of delay levels: 2^0 to 2^27 seconds, as Celery ≥ 5.5 declares them.
pub const DELAY_LEVELS: u32 = 28;

/// Names of exchanges and queues. Fields are the ones that several crates publish to or read.
///
/// ```
/// use counterfoil_toolbox::{Priority, ServiceName, topology::Names};
///
/// let names = Names::new("test-", "task_exchange", "platform.fifo")?;
/// let export = ServiceName::new("export")?;
/// assert_eq!(names.service_queue(&export), "test-export");
/// assert_eq!(names.class_queue(&export, Priority::High), "test-export~high");
/// assert_eq!(names.service_of(&names.class_queue(&export, Priority::High)), "export");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
    /// Where producers publish; a topic exchange.
    pub tasks: ExchangeName,
    /// Behind it: the way to service queues, without a tracking copy.
    pub work: ExchangeName,
    /// Entry for what the platform sends again: no second tracking copy.
    pub requeue: ExchangeName,
    /// Where tasks go that no service owns.
    pub unroutable: ExchangeName,
    /// Where dead tasks go, keyed by service.
    pub dead: ExchangeName,
    /// Durable state events, keyed `event.<service>.batch`.
    pub events: ExchangeName,
    /// Signs of life of workers, keyed `heartbeat.<service>`.
    pub heartbeats: ExchangeName,
    /// Revocations, pauses, limits, for every worker.
    pub control: ExchangeName,
    /// Where the tracking queue dead-letters to.
    pub platform_deadletter: ExchangeName,
    /// End of the line for messages that kill the daemon.
    pub platform_dead: ExchangeName,
    /// First of the delay levels: where delayed tasks are published.
    pub delay_entry: ExchangeName,
    /// Where delayed tasks come out.
    pub delay_exit: ExchangeName,
    /// Celery's events.
    pub celeryev: ExchangeName,
    /// The tracking queue: who reads it learns of every task scheduled by anyone.
    pub tracking_queue: QueueName,
    /// What no service owned.
    pub unroutable_queue: QueueName,
    /// Copies of every dead task.
    pub deaths_queue: QueueName,
    /// State events.
    pub events_queue: QueueName,
    /// Signs of life.
    pub heartbeats_queue: QueueName,
    /// The stream of control messages.
    pub control_queue: QueueName,
    /// Tracking copies that expired before the daemon read them.
    pub expired_queue: QueueName,
    /// Messages that killed the daemon; consumed by nobody.
    pub platform_dead_queue: QueueName,
    /// What Python workers say of their tasks.
    pub celeryev_queue: QueueName,
}

impl Names {
    /// The names under `prefix` (empty: none), with `exchange` for the task exchange and
    /// `platform_queue` for the tracking queue.
    ///
    /// # Errors
    /// [`InvalidText`] when a name gets too long or is not allowed.
    pub fn new(prefix: &str, exchange: &str, platform_queue: &str) -> Result<Self, InvalidText> {
        let ex = |name: &str| ExchangeName::new(&format!("{prefix}{name}"));
        let queue = |name: &str| QueueName::new(&format!("{prefix}{name}"));
        Ok(Self {
            prefix: prefix.to_owned(),
            tasks: ex(exchange)?,
            work: ex(&format!("{exchange}.work"))?,
            requeue: ex(&format!("{exchange}.requeue"))?,
            unroutable: ex(&format!("{exchange}.unroutable"))?,
            dead: ex(&format!("{exchange}.dead"))?,
            events: ex("task_events")?,
            heartbeats: ex("task_heartbeats")?,
            control: ex("task_control")?,
            platform_deadletter: ex("platform.deadletter")?,
            platform_dead: ex("platform.dead")?,
            delay_entry: ex(&format!("celery_delayed_{}", DELAY_LEVELS - 1))?,
            delay_exit: ex("celery_delayed_delivery")?,
            celeryev: ex("celeryev")?,
            tracking_queue: queue(platform_queue)?,
            unroutable_queue: queue("platform.unroutable")?,
            deaths_queue: queue("platform.deaths")?,
            events_queue: queue("platform.events")?,
            heartbeats_queue: queue("platform.heartbeats")?,
            control_queue: queue("platform.control")?,
            expired_queue: queue("platform.expired")?,
            platform_dead_queue: queue("platform.dead")?,
            celeryev_queue: queue("platform.celeryev")?,
        })
    }

    /// Exchange and queue of delay level `level` (0–27) have the same name.
    #[must_use]
    pub fn delay_level(&self, level: u32) -> String {
        format!("{}celery_delayed_{level}", self.prefix)
    }

    /// Queues of the delay levels, from high to low: the way that messages go.
    pub fn delay_queues(&self) -> impl Iterator<Item = QueueName> + use<'_> {
        let levels = (0..DELAY_LEVELS).rev();
        levels.map(|level| {
            QueueName::new(&self.delay_level(level)).expect("the longest prefix leaves room for it")
        })
    }

    /// All queues that a service may have for tasks that wait, whatever its settings are.
    ///
    /// ```
    /// # let names = counterfoil_toolbox::config::BrokerSettings::default().names()?;
    /// let queues: Vec<_> = names.possible_queues(&"export".parse()?).collect();
    /// assert_eq!(queues.len(), 6);
    /// assert!(queues.iter().all(|queue| names.is_queue_of("export", queue.as_str())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn possible_queues(
        &self,
        service: &ServiceName,
    ) -> impl Iterator<Item = QueueName> + use<> {
        let of_class = |class| {
            [
                self.class_queue(service, class),
                self.late_queue(service, class),
            ]
        };
        let queues: Vec<_> = Priority::ALL.into_iter().flat_map(of_class).collect();
        queues.into_iter()
    }

    /// Queue of a service: of its class [`Normal`](Priority::Normal), if it has classes.
    #[must_use]
    pub fn service_queue(&self, service: &ServiceName) -> QueueName {
        self.class_queue(service, Priority::Normal)
    }

    /// Queue of one class of a service.
    #[must_use]
    pub fn class_queue(&self, service: &ServiceName, class: Priority) -> QueueName {
        self.queue(&format!("{service}{}", class.suffix()))
    }

    /// Queue of a service's dead tasks.
    #[must_use]
    pub fn dead_queue(&self, service: &ServiceName) -> QueueName {
        self.queue(&format!("{service}.dead"))
    }

    /// Queue of the delayed tasks of one class of a service, when its queues have a maximum length.
    #[must_use]
    pub fn late_queue(&self, service: &ServiceName, class: Priority) -> QueueName {
        self.queue(&format!("{service}{}.late", class.suffix()))
    }

    /// Queue of the tokens by which `task` is run.
    ///
    /// # Errors
    /// [`InvalidText`] when the task's name leaves no room for the rest.
    pub fn token_queue(&self, task: &TaskName) -> Result<QueueName, InvalidText> {
        QueueName::new(&format!("{}platform.tokens.{task}", self.prefix))
    }

    /// The prefix in front of every name.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The service whose queue this is: `export` for `staging-export`, `staging-export.late` and
    /// `staging-export~high`.
    #[must_use]
    pub fn service_of<'a>(&self, queue: &'a QueueName) -> &'a str {
        Priority::split(self.word_of(queue.as_str())).0
    }

    /// The class of the tasks in this queue.
    #[must_use]
    pub fn class_of(&self, queue: &QueueName) -> Priority {
        Priority::split(self.word_of(queue.as_str())).1
    }

    /// Whether the tasks of `service` wait in the queue of this name, or those of one of its classes,
    /// or the delayed ones: everywhere but in its dead queue.
    #[must_use]
    pub fn is_queue_of(&self, service: &str, queue: &str) -> bool {
        let is_below = queue.starts_with(&self.prefix) && !queue.ends_with(".dead");
        is_below && Priority::split(self.word_of(queue)).0 == service
    }

    /// Whether this is one of the platform's own queues: the tracking queue, those called `platform.…`, the delay levels, and
    /// the dead queues of services. No worker is to take tasks from them.
    #[must_use]
    pub fn is_of_platform(&self, queue: &QueueName) -> bool {
        let name = queue.as_str().strip_prefix(&self.prefix);
        *queue == self.tracking_queue
            || name.is_some_and(|name| name.starts_with("platform.") || name.ends_with(".dead"))
            || self.delay_queues().any(|level| *queue == level)
    }

    /// The first word of the keys that lead to a queue.
    fn word_of<'a>(&self, queue: &'a str) -> &'a str {
        let name = queue.strip_prefix(&self.prefix).unwrap_or(queue);
        name.strip_suffix(".late")
            .or_else(|| name.strip_suffix(".dead"))
            .unwrap_or(name)
    }

    fn queue(&self, name: &str) -> QueueName {
        QueueName::new(&format!("{}{name}", self.prefix))
            .expect("a service name is at most 100 bytes and a prefix at most 100, checked by the configuration")
    }
}

/// Key of a batch of events of `service`.
///
/// ```
/// use chrono::Utc;
/// use counterfoil_toolbox::event::{Event, EventKind, Lease, LogLine, Progress};
/// use counterfoil_toolbox::topology::names::event_key;
/// use counterfoil_toolbox::{TaskState, message::Content, state::Lineage, transport::Publication};
///
/// # let names = counterfoil_toolbox::config::BrokerSettings::default().names()?;
/// let kind = EventKind::State(TaskState::Progress);
/// let mut event = Event::new("t1".parse()?, "export.project".parse()?, Lineage::default(), kind, Utc::now());
/// event.progress = Some(Progress { current: 3, total: Some(10), message: None });
/// let batch = Publication {
///     exchange: names.events.clone(),
///     routing_key: event_key(&event.service),
///     content: Content::json(serde_json::to_vec(&[event])?),
/// };
/// assert_eq!(batch.routing_key, "event.export.batch");
///
/// // And who reads `Names::events_queue`:
/// for event in serde_json::from_slice::<Vec<Event>>(&batch.content.body)? {
///     if let Some(LogLine { level, message, .. }) = &event.log {
///         println!("{level}: {message}");
///     }
///     if let Some(Lease { ms, .. }) = event.lease {
///         println!("{} is its worker's alone, for {ms} ms after each sign of life", event.task_id);
///     }
///     assert!(event.key().is_some()); // unlike a log line, it tells a state
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn event_key(service: &str) -> RoutingKey {
    key(&format!("event.{service}.batch"))
}

/// Key of a sign of life of `service`.
///
/// ```
/// assert_eq!(counterfoil_toolbox::topology::names::heartbeat_key("export"), "heartbeat.export");
/// ```
#[must_use]
pub fn heartbeat_key(service: &str) -> RoutingKey {
    key(&format!("heartbeat.{service}"))
}

/// Key of a dead task of `service`.
///
/// ```
/// assert_eq!(counterfoil_toolbox::topology::names::dead_key("export"), "export");
/// ```
#[must_use]
pub fn dead_key(service: &str) -> RoutingKey {
    key(service)
}

/// Service names come from task names too, which may be longer than a key has room for.
fn key(text: &str) -> RoutingKey {
    let end = (0..=text.len().min(255))
        .rev()
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0);
    RoutingKey::new(&text[..end]).expect("cut at 255 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Item, QueueSettings, platform};

    #[test]
    fn every_queue_tells_its_service_and_its_class() {
        let names = Names::new("staging-", "task_exchange", "platform.fifo").expect("valid");
        let service = ServiceName::new("export").expect("valid");
        for class in Priority::ALL {
            let queue = names.class_queue(&service, class);
            let late = names.late_queue(&service, class);
            for queue in [queue, late] {
                assert_eq!(names.service_of(&queue), "export", "{queue}");
                assert_eq!(names.class_of(&queue), class, "{queue}");
                assert!(names.is_queue_of("export", queue.as_str()), "{queue}");
            }
        }
        let high = names.late_queue(&service, Priority::High);
        assert_eq!(high, "staging-export~high.late");
        for other in [
            "staging-export.dead",
            "staging-exports",
            "export",
            "staging-export~x",
        ] {
            assert!(!names.is_queue_of("export", other), "{other}");
        }
    }

    #[test]
    fn queues_of_the_platform_are_no_queues_of_tasks() {
        let names = Names::new("staging-", "task_exchange", "fifo").expect("valid");
        let export = ServiceName::new("export").expect("valid");
        let of_platform = platform(&names, QueueSettings::Arguments);
        let of_platform = of_platform.into_iter().filter_map(|item| match item {
            Item::Queue(queue) => Some(queue.name),
            Item::Exchange(_) | Item::Binding(_) => None,
        });
        let token = names.token_queue(&"export.project".parse().expect("valid"));
        let others = [token.expect("valid"), names.dead_queue(&export)];
        let of_platform: Vec<_> = of_platform
            .chain(names.delay_queues())
            .chain(others)
            .collect();
        assert!(of_platform.contains(&names.tracking_queue));
        for queue in of_platform {
            assert!(names.is_of_platform(&queue), "{queue}");
        }
        let plain = [
            "celery",
            "platform.events",
            "staging-platforms",
            "staging-dead",
        ];
        let plain = plain.map(|name| QueueName::new(name).expect("valid"));
        for queue in names.possible_queues(&export).chain(plain) {
            assert!(!names.is_of_platform(&queue), "{queue}");
        }
    }
}
