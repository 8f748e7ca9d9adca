//! The sections of a configuration, ready to use. Durations and sizes carry their units in types.

use super::celery::CeleryEncoding;
use crate::names::{QueueName, ServiceName};
use crate::retention::RetentionRules;
use crate::text::InvalidText;
use crate::topology::{Names, QueueKind, QueueSettings, ServiceSettings};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach the broker, and what lives there. `[broker]`
///
/// ```
/// use counterfoil_toolbox::config::BrokerSettings;
///
/// let settings = BrokerSettings { queue_prefix: "test-".to_owned(), ..BrokerSettings::default() };
/// assert_eq!(settings.names()?.tracking_queue, "test-platform.fifo");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// AMQP URLs, with credentials: one, or one for each node of a cluster. Each connection is made to the first
    /// that lets it in, in this order, again whenever it was lost. Default in development:
    /// `amqp://127.0.0.1:5672/%2f`.
    pub urls: Vec<SecretString>,
    /// PEM file of the authorities that may vouch for the broker. `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Silence after which a connection is taken for dead is twice this. Default: 10 s.
    pub heartbeat: Duration,
    /// Longest time for connecting, to each URL, and for any single question to the broker. Default: 5 s.
    pub connect_timeout: Duration,
    /// Longest time until a published message is confirmed. Default: 10 s.
    pub confirm_timeout: Duration,
    /// After how long the broker takes an unacknowledged message back; it cannot be asked over
    /// AMQP. Default: 30 min, RabbitMQ's own.
    pub consumer_timeout: Duration,
    /// How queues of services store their messages. Default: quorum.
    pub queue_type: QueueKind,
    /// Where the arguments of queues come from. Default: from the declaration.
    pub queue_settings: QueueSettings,
    /// In front of every exchange, queue and delay level. Default: empty. At most 100 bytes.
    pub queue_prefix: String,
    /// Name of the task exchange. Default: `task_exchange`.
    pub exchange: String,
    /// Name of the tracking queue. Default: `platform.fifo`.
    pub platform_queue: String,
    /// Services whose queues `topology apply` declares. Workers add those of their tasks.
    pub services: Vec<ServiceName>,
    /// Deviations, by service.
    pub queues: BTreeMap<ServiceName, QueueOverride>,
}

/// What is different about one service's queue. `[broker.queues.<service>]`
///
/// ```
/// use counterfoil_toolbox::config::{BrokerSettings, Declaring, QueueOverride};
///
/// let mut settings = BrokerSettings::default();
/// let theirs = QueueOverride { max_length: Some(1000), declare: Declaring::Passive, ..QueueOverride::default() };
/// settings.queues.insert("export".parse()?, theirs);
/// assert_eq!(settings.service(&"export".parse()?).max_length, Some(1000));
/// assert_eq!(settings.declaring(&"image".parse()?), Declaring::Active); // all others
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueOverride {
    /// How it stores. `None`: as `queue_type` says.
    pub kind: Option<QueueKind>,
    /// Messages that may wait, in the queue of each class. `None`: no limit.
    pub max_length: Option<u32>,
    /// Whether each class of priority has a queue of its own, `<service>~high` and `<service>~low`
    /// beside `<service>`. Default: no.
    pub priorities: bool,
    /// Who creates it. Default: `topology apply`.
    pub declare: Declaring,
}

/// What `topology apply` does about one service's queues, and a worker under which one is deleted.
/// `declare`. [`QueueOverride`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Declaring {
    /// It creates them.
    #[default]
    Active,
    /// It looks whether they are there: somebody else creates them.
    Passive,
    /// It ignores them.
    Off,
}

impl Declaring {
    pub(super) const ALL: [(&'static str, Self); 3] = [
        ("active", Self::Active),
        ("passive", Self::Passive),
        ("off", Self::Off),
    ];
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            urls: vec![SecretString::from("amqp://127.0.0.1:5672/%2f")],
            ca_file: None,
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            confirm_timeout: Duration::from_secs(10),
            consumer_timeout: Duration::from_secs(30 * 60),
            queue_type: QueueKind::Quorum,
            queue_settings: QueueSettings::default(),
            queue_prefix: String::new(),
            exchange: "task_exchange".to_owned(),
            platform_queue: "platform.fifo".to_owned(),
            services: Vec::new(),
            queues: BTreeMap::new(),
        }
    }
}

impl BrokerSettings {
    /// Longest time until one of the URLs has let a connection in, or each had its `connect_timeout`.
    #[must_use]
    pub fn connect_timeout_of_all(&self) -> Duration {
        let urls = u32::try_from(self.urls.len()).unwrap_or(u32::MAX);
        self.connect_timeout.saturating_mul(urls.max(1))
    }

    /// Names of all exchanges and queues.
    ///
    /// # Errors
    /// [`InvalidText`] when a name gets too long or is not allowed.
    pub fn names(&self) -> Result<Names, InvalidText> {
        Names::new(&self.queue_prefix, &self.exchange, &self.platform_queue)
    }

    /// Who declares one service's queues.
    #[must_use]
    pub fn declaring(&self, service: &ServiceName) -> Declaring {
        let special = self.queues.get(service);
        special.map(|special| special.declare).unwrap_or_default()
    }

    /// Settings of one service's queue.
    #[must_use]
    pub fn service(&self, service: &ServiceName) -> ServiceSettings {
        let special = self.queues.get(service).cloned().unwrap_or_default();
        ServiceSettings {
            kind: special.kind.unwrap_or(self.queue_type),
            max_length: special.max_length,
            priorities: special.priorities,
            settings: self.queue_settings,
        }
    }
}

/// The circuit breaker of a [`Producer`](crate::Producer). `[breaker]`
/// [`ProducerBuilder`](crate::producer::ProducerBuilder) has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it. Default: 1, at least 1. What counts: a connection that could
    /// not be made, the broker's alarm, a task that was not sent or not confirmed in time.
    pub fail_max: u32,
    /// After how long an open breaker lets one task through to try the broker. Default: 5 s, at least
    /// 100 ms. It matters while the broker takes tasks and confirms none; one that is away is tried
    /// at least this often by the connection itself, and costs no task its time. Half of
    /// `broker.confirm_timeout`: that is what the one task may wait for.
    pub reset_timeout: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            fail_max: 1,
            reset_timeout: Duration::from_secs(5),
        }
    }
}

/// The platform's database. `[database]` [`Self::missing_file`] has an example.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `postgresql://…` or `sqlite://file`. Default in development: `sqlite://counterfoil.db`.
    pub url: SecretString,
    /// Connections. Default: 8.
    pub pool: u32,
    /// Longest time for one statement. Default: 30 s.
    pub statement_timeout: Duration,
    /// Key of the hash that turns task ids into the public ids of URLs. It must never change.
    pub id_secret: SecretString,
}

impl DatabaseSettings {
    /// The file of an SQLite database, when it is missing.
    ///
    /// ```
    /// use counterfoil_toolbox::config::DatabaseSettings;
    ///
    /// let settings = DatabaseSettings { url: "sqlite://no-tasks.db".into(), ..DatabaseSettings::default() };
    /// assert_eq!(settings.missing_file(), Some("no-tasks.db".into())); // `counterfoil init` makes it
    /// ```
    #[must_use]
    pub fn missing_file(&self) -> Option<PathBuf> {
        let file = self.url.expose_secret().strip_prefix("sqlite:")?;
        let file = file.strip_prefix("//").unwrap_or(file);
        let file = PathBuf::from(file.split('?').next().unwrap_or(file));
        (!file.as_os_str().is_empty() && file.as_os_str() != ":memory:" && !file.exists())
            .then_some(file)
    }
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: SecretString::from("sqlite://counterfoil.db"),
            pool: 8,
            statement_timeout: Duration::from_secs(30),
            id_secret: SecretString::from("development"),
        }
    }
}

/// The worker runtime. `[worker]`
///
/// ```
/// use counterfoil_toolbox::config::WorkerSettings;
///
/// let settings = WorkerSettings { concurrency: 8, ..WorkerSettings::default() }; // or `config.worker`
/// assert_eq!(settings.prefetch, None); // so it holds eight of each queue
/// ```
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Queues to consume. Default: those of the services of the registered tasks. Where
    /// `broker.queues.<service>.max_length` limits one, `<service>.late` is consumed with it, and where
    /// `priorities` is true, so are `<service>~high` and `<service>~low`; listed alone, a class is
    /// consumed alone.
    pub queues: Vec<QueueName>,
    /// Handlers that run at the same time. Default: 64.
    pub concurrency: u16,
    /// Deliveries held at the same time, per queue. Default: as many as `concurrency`, and one more with
    /// priorities: classes get their shares of the places while one of each waits in the worker.
    pub prefetch: Option<u16>,
    /// Longest that a handler may run when neither its task nor the sender says. Default: 25 min.
    /// `None`: as long as the broker waits for an acknowledgement, less a margin. It does not hold for
    /// tasks that are acknowledged [early](crate::task::Ack::Early).
    pub time_limit: Option<Duration>,
    /// How long running handlers may take to finish after the first signal. Default: 30 s.
    pub drain_timeout: Duration,
    /// How long the handler of a running task that somebody cancelled may take to end. Default: 5 s.
    pub cancel_grace: Duration,
    /// Largest result, as JSON. A larger one fails the task. Default: 1 MiB; at most 15 MiB.
    pub max_result_bytes: usize,
    /// How often the worker says that it is alive. Default: 10 s.
    pub heartbeat: Duration,
    /// How long the worker may be silent before a task that it acknowledged
    /// [early](crate::task::Ack::Early) is begun elsewhere: at least three times `heartbeat`, at
    /// least 3 s, at most an hour. Default: 60 s.
    pub lease: Duration,
    /// Where the worker serves its metrics at `/metrics`, and `/healthz`, `host:port`; its `main` has to
    /// serve them (`telemetry::prometheus::serve` of the toolbox). Each worker of a
    /// machine needs one of its own. `None`: nowhere.
    pub metrics_bind: Option<String>,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            queues: Vec::new(),
            concurrency: 64,
            prefetch: None,
            time_limit: Some(Duration::from_secs(25 * 60)),
            drain_timeout: Duration::from_secs(30),
            cancel_grace: Duration::from_secs(5),
            max_result_bytes: 1024 * 1024,
            heartbeat: Duration::from_secs(10),
            lease: Duration::from_secs(60),
            metrics_bind: None,
        }
    }
}

/// The sync daemon. `[sync]`
///
/// ```
/// use counterfoil_toolbox::config::SyncSettings;
/// use std::time::Duration;
///
/// let settings = SyncSettings { batch_wait: Duration::from_millis(10), ..SyncSettings::default() };
/// assert_eq!(settings.retention.of("demo.add"), None); // for ever
/// ```
#[derive(Debug, Clone)]
pub struct SyncSettings {
    /// Messages per transaction. Default: 500.
    pub batch_size: usize,
    /// Longest that a message waits for its batch to fill. Default: 100 ms.
    pub batch_wait: Duration,
    /// Bytes after which a batch is full. Default: 4 MB.
    pub batch_bytes: usize,
    /// How often a canary checks the way through the broker. Default: 60 s.
    pub canary_interval: Duration,
    /// Services that Celery's workers run: what those say of tasks is believed for these alone. Default: none.
    pub celery_services: Vec<ServiceName>,
    /// How results are written for callers in Python that look for them in the platform's database, in the tables of
    /// Celery's database backend (`db+postgresql://`, `db+sqlite://`). Default: `None`, they are not. In a file: `"json"`,
    /// `"pickle"` or `"none"`.
    pub celery_results: Option<CeleryEncoding>,
    /// How often tasks without a service are tried again. Default: 5 s.
    pub unroutable_interval: Duration,
    /// How often the tokens are looked after by which tasks run whose concurrency is limited over all
    /// workers. Default: 5 s.
    pub token_interval: Duration,
    /// How often sessions are looked for whose time is over. Default: 60 s.
    pub session_interval: Duration,
    /// How long a subtask of a session is expected to take, where the session does not say so. Default: 60 s.
    pub session_estimate: Duration,
    /// How much longer than estimated a session may take, where it does not say so. Default: 10 min.
    pub session_buffer: Duration,
    /// How long tasks that are over are kept. `[sync.retention]`, a line for each type or start of types:
    /// `default = "90d"`, `"export.*" = "30d"`, `"export.invoice" = "forever"`. Default: for ever.
    pub retention: RetentionRules,
    /// How often tasks are removed whose time is over. Default: 10 min.
    pub retention_interval: Duration,
    /// How often the outbox is looked at where the database does not tell of it: SQLite. Default: 250 ms.
    pub outbox_interval: Duration,
    /// How long nothing may be heard of a task that waits, while the queues of its service are empty and no
    /// worker has its message, before its message is taken for lost and sent again. Default: 6 min, at
    /// least 1 s. Shorter than 5 min, it may come before what a foreign worker or a clock that is wrong
    /// has put off. As long, nobody but workers that give signs of life may have been seen at the queues of a
    /// service, before subtasks of an aborted session of which nobody tells count as REVOKED.
    pub lost_after: Duration,
    /// Most messages that may wait in the tracking queue, or in the queue of events, while `/readyz`
    /// calls the daemon ready. Default: 100,000, some ten to thirty seconds of work.
    pub ready_backlog: u32,
    /// Where `/healthz`, `/readyz` and, in `counterfoil-sync`, `/metrics` answer, `host:port`. `None`:
    /// nowhere.
    pub health_bind: Option<String>,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            batch_size: 500,
            batch_wait: Duration::from_millis(100),
            batch_bytes: 4_000_000,
            canary_interval: Duration::from_secs(60),
            celery_services: Vec::new(),
            celery_results: None,
            unroutable_interval: Duration::from_secs(5),
            token_interval: Duration::from_secs(5),
            session_interval: Duration::from_secs(60),
            session_estimate: Duration::from_secs(60),
            session_buffer: Duration::from_secs(600),
            retention: RetentionRules::default(),
            retention_interval: Duration::from_secs(600),
            outbox_interval: Duration::from_millis(250),
            lost_after: Duration::from_secs(6 * 60),
            ready_backlog: 100_000,
            health_bind: None,
        }
    }
}

/// Logs and traces. `[telemetry]`
///
/// ```
/// use counterfoil_toolbox::config::{LogFormat, TelemetrySettings};
///
/// let settings = TelemetrySettings { log_format: LogFormat::Json, ..TelemetrySettings::default() };
/// assert_eq!(settings.otlp_endpoint, None); // no traces
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TelemetrySettings {
    /// How lines of the log look. Default: [`LogFormat::Text`].
    pub log_format: LogFormat,
    /// Collector that traces are sent to, over HTTP: `http://127.0.0.1:4318`. Only programs that were built
    /// with feature `otlp` can; variables of OpenTelemetry's, such as `OTEL_EXPORTER_OTLP_ENDPOINT`, go
    /// before it. `None`: no traces, unless those say so.
    pub otlp_endpoint: Option<String>,
}

/// How lines of the log look. [`TelemetrySettings`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// A line of text for each.
    #[default]
    Text,
    /// Several lines for each, for people who look on.
    Pretty,
    /// A JSON object on a line for each.
    Json,
}
