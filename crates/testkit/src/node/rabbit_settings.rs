//! What a private RabbitMQ is told: its options, and the files and variables made from them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// How a private RabbitMQ differs from one that is started without options.
///
/// ```no_run
/// use counterfoil_testkit::{RabbitNode, RabbitOptions};
/// use std::time::Duration;
///
/// # async fn example() -> anyhow::Result<()> {
/// let impatient = RabbitOptions {
///     consumer_timeout: Some(Duration::from_secs(5)),
///     ..RabbitOptions::default()
/// };
/// let node = RabbitNode::start_with(impatient).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct RabbitOptions {
    /// Longest time from delivery to ack; a consumer that takes longer loses its channel (406).
    /// Whole milliseconds. Default: `None`, the broker's own 30 minutes.
    pub consumer_timeout: Option<Duration>,
    /// How often a channel looks for such deliveries. Whole milliseconds. Default: `None`, the
    /// broker's own 60 seconds.
    pub channel_tick_interval: Option<Duration>,
    /// How long at-least-once dead-lettering waits for a confirm before it tries again. Whole
    /// milliseconds. Default: `None`, the broker's own 3 minutes.
    pub dead_letter_confirm_timeout: Option<Duration>,
    /// Threads on which the broker runs Erlang code. Default: `None`, one.
    pub schedulers: Option<u8>,
    /// Further lines of `rabbitmq.conf`. Default: none.
    pub config_lines: Vec<String>,
}

/// The name of one node and its ports, all on the loopback address.
#[derive(Clone, Copy, Debug)]
pub(super) struct RabbitPlace {
    /// Its Erlang name.
    pub(super) name: &'static str,
    pub(super) amqp: u16,
    pub(super) management: u16,
    /// The port mapper, of this node or this cluster alone, so that names need not be unique on the machine.
    pub(super) epmd: u16,
    pub(super) distribution: u16,
}

/// The Erlang name of a node that is alone, and of the first one of a cluster.
pub(super) const NODE_NAME: &str = "counterfoil@localhost";

const COOKIE: &str = "counterfoil-tests";

impl RabbitOptions {
    /// Writes everything the node reads into `folder`.
    pub(super) fn write(&self, folder: &Path, place: RabbitPlace) -> std::io::Result<()> {
        fs::write(folder.join("rabbitmq.conf"), self.rabbitmq_conf(place))?;
        fs::write(folder.join("advanced.config"), self.advanced_config())?;
        fs::write(folder.join("enabled_plugins"), "[rabbitmq_management].\n")?;
        let cookie = folder.join(".erlang.cookie");
        fs::write(&cookie, COOKIE)?;
        fs::set_permissions(cookie, fs::Permissions::from_mode(0o600))
    }

    fn rabbitmq_conf(&self, place: RabbitPlace) -> String {
        let mut lines = vec![
            format!("listeners.tcp.1 = 127.0.0.1:{}", place.amqp),
            "management.tcp.ip = 127.0.0.1".to_owned(),
            format!("management.tcp.port = {}", place.management),
            // Without its statistics database the management API answers from the queues' own
            // figures, a quarter of a second old; with it they are up to five seconds old.
            "management.disable_stats = true".to_owned(),
            "management.enable_queue_totals = true".to_owned(),
            "management_agent.disable_metrics_collector = true".to_owned(),
            "collect_statistics_interval = 250".to_owned(),
            "vm_memory_high_watermark.absolute = 1GB".to_owned(),
            "disk_free_limit.absolute = 50MB".to_owned(),
        ];
        if place.name != NODE_NAME {
            // It joins the first node when it starts for the first time.
            lines.push("cluster_formation.peer_discovery_backend = classic_config".to_owned());
            lines.push(format!(
                "cluster_formation.classic_config.nodes.1 = {NODE_NAME}"
            ));
        }
        lines.extend(self.config_lines.iter().cloned());
        lines.join("\n") + "\n"
    }

    /// Settings that `rabbitmq.conf` does not know on every version we test with.
    fn advanced_config(&self) -> String {
        let mut rabbit = vec!["{quorum_tick_interval, 250}".to_owned()];
        let timings = [
            ("consumer_timeout", self.consumer_timeout),
            ("channel_tick_interval", self.channel_tick_interval),
            (
                "dead_letter_worker_publisher_confirm_timeout",
                self.dead_letter_confirm_timeout,
            ),
        ];
        for (key, value) in timings {
            rabbit.extend(value.map(|value| format!("{{{key}, {}}}", value.as_millis())));
        }
        format!("[{{rabbit, [{}]}}].\n", rabbit.join(", "))
    }

    /// The environment of the server, of `rabbitmqctl`, and of the port mapper.
    pub(super) fn env(&self, folder: &Path, place: RabbitPlace) -> Vec<(&'static str, String)> {
        let path = |name: &str| folder.join(name).display().to_string();
        vec![
            ("HOME", folder.display().to_string()),
            ("ERL_EPMD_PORT", place.epmd.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODENAME", place.name.to_owned()),
            ("RABBITMQ_DIST_PORT", place.distribution.to_string()),
            ("RABBITMQ_MNESIA_BASE", path("data")),
            ("RABBITMQ_LOG_BASE", path("log")),
            ("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced.config")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", self.erlang_args()),
            // The server's script then becomes the Erlang machine instead of waiting beside it:
            // the process that was started is the broker, and can be killed by that id.
            ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
        ]
    }

    fn erlang_args(&self) -> String {
        let schedulers = self.schedulers.unwrap_or(1);
        format!(
            "+S {schedulers}:{schedulers} +sbwt none +sbwtdcpu none +sbwtdio none \
             -kernel inet_dist_use_interface {{127,0,0,1}} -start_epmd false"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::RabbitOptions;
    use std::time::Duration;

    #[test]
    fn only_the_timings_that_were_asked_for_reach_the_broker() {
        let options = RabbitOptions {
            consumer_timeout: Some(Duration::from_secs(5)),
            ..RabbitOptions::default()
        };
        assert_eq!(
            options.advanced_config(),
            "[{rabbit, [{quorum_tick_interval, 250}, {consumer_timeout, 5000}]}].\n"
        );
    }
}
