//! What a worker is: its settings, its process, its broker.

use super::process::{memory, usage};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::Address;
use counterfoil_toolbox::{Ack, Rate};
use counterfoil_worker::extension::{Inside, TaskType};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// What does not change while a worker runs.
pub(crate) struct Facts {
    pub(crate) names: Names,
    pub(crate) broker: Option<Address>,
    pub(crate) began: Instant,
    /// Answers are sent to callers.
    pub(crate) replies: bool,
    pub(crate) tracks_started: bool,
    pub(crate) default_queue: Option<String>,
}

impl Facts {
    /// The settings, by Celery's names for them.
    pub(super) fn conf(&self, inside: &Inside) -> Value {
        let heartbeat = self.broker.as_ref().map(|broker| seconds(broker.heartbeat));
        let queues = inside.queues();
        let default_queue = self.default_queue.clone();
        let default_queue = default_queue.or(queues.first().map(ToString::to_string));
        json!({
            "accept_content": ["json"],
            "broker_connection_retry_on_startup": true,
            "broker_heartbeat": heartbeat,
            "broker_url": self.url(),
            "deprecated_settings": null,
            "enable_utc": true,
            "include": [],
            "result_backend": self.backend(),
            "task_acks_late": true,
            "task_default_exchange": self.names.tasks.as_str(),
            "task_default_exchange_type": "topic",
            "task_default_queue": default_queue,
            "task_track_started": self.tracks_started,
            "timezone": "UTC",
            "worker_concurrency": inside.concurrency(),
            "worker_hijack_root_logger": false,
            "worker_log_color": false,
        })
    }

    /// What somebody needs to know who is told of a fault.
    pub(super) fn report(&self, inside: &Inside) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let (system, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut settings = String::new();
        if let Value::Object(conf) = self.conf(inside) {
            for (name, value) in &conf {
                settings.push_str(&format!("{name}: {}\n", super::python::repr(value)));
            }
        }
        format!(
            "\nsoftware -> celery:5.7 (counterfoil) counterfoil:{version}\nplatform -> system:{system} arch:{arch}\n            \
             kernel version:{} imp:Rust\nloader   -> counterfoil\nsettings -> transport:amqp results:{}\n\n{settings}",
            kernel.trim(),
            self.backend()
        )
    }

    pub(super) fn stats(&self, inside: &Inside, total: Map<String, Value>, clock: u64) -> Value {
        let pid = std::process::id();
        json!({
            "total": total,
            "pid": pid,
            "clock": clock.to_string(),
            "uptime": self.began.elapsed().as_secs(),
            "pool": {
                "implementation": "counterfoil_worker:Worker",
                "max-concurrency": inside.concurrency(),
                "processes": [pid],
                "max-tasks-per-child": null,
                "put-guarded-by-semaphore": true,
                "timeouts": [],
                "writes": "N/A",
            },
            "broker": self.broker(),
            "prefetch_count": inside.prefetch(),
            "rusage": usage(),
        })
    }

    fn broker(&self) -> Value {
        let broker = self.broker.as_ref();
        json!({
            "hostname": broker.map(|it| it.host.as_str()),
            "userid": broker.map(|it| it.user.as_str()),
            "virtual_host": broker.map(|it| it.vhost.as_str()),
            "port": broker.map(|it| it.port),
            "insist": false,
            "ssl": broker.is_some_and(|it| it.is_encrypted),
            "transport": if broker.is_some() { "amqp" } else { "memory" },
            "connect_timeout": 4,
            "transport_options": {},
            "login_method": "PLAIN",
            "uri_prefix": null,
            "heartbeat": broker.map(|it| it.heartbeat.as_secs_f64()),
            "failover_strategy": "round-robin",
            "alternates": [],
            "credential_provider": null,
        })
    }

    fn url(&self) -> String {
        let Some(broker) = &self.broker else {
            return "memory://".to_owned();
        };
        let Address {
            host,
            port,
            vhost,
            user,
            is_encrypted,
            ..
        } = broker;
        let scheme = if *is_encrypted { "amqps" } else { "amqp" };
        format!("{scheme}://{user}:********@{host}:{port}/{vhost}")
    }

    fn backend(&self) -> &'static str {
        if self.replies { "rpc://" } else { "disabled" }
    }

    /// How much memory the process has.
    pub(super) fn memory(&self) -> Value {
        memory().map_or(Value::Null, Value::from)
    }

    /// What a type of task is, by Celery's names for it. `None`: it is not that.
    pub(super) fn item(&self, task: &TaskType, item: &str) -> Option<String> {
        let options = &task.options;
        let limit = |limit: Option<Duration>| limit.map(seconds).map(|limit| limit.to_string());
        match item {
            "name" => Some(task.name.to_string()),
            "rate_limit" => options.rate_limit.as_ref().map(Rate::to_string),
            "time_limit" => limit(options.time_limit),
            "soft_time_limit" => limit(options.soft_time_limit),
            "max_retries" => Some(options.max_retries.to_string()),
            "acks_late" => Some(python_bool(options.ack == Ack::Late)),
            "track_started" => Some(python_bool(self.tracks_started)),
            _ => None,
        }
    }
}

fn python_bool(is_it: bool) -> String {
    if is_it { "True" } else { "False" }.to_owned()
}

/// Whole seconds as a whole number.
fn seconds(time: Duration) -> Value {
    match time.subsec_nanos() {
        0 => time.as_secs().into(),
        _ => time.as_secs_f64().into(),
    }
}
