//! Connections: one for publishing, one for everything else, replaced when they die.

use super::fault;
use super::threads::Threads;
use crate::config::BrokerSettings;
use crate::ids::hostname;
use crate::transport::Address;
use crate::transport::error::TransportError;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, Timeouts,
};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::LongString;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, ConnectionStatus};
use secrecy::ExposeSecret;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// The two pools of one transport. Channels keep their connection alive, so a connection goes back
/// to its pool as soon as the channel is open, and is shared by all channels.
#[derive(Clone)]
pub(super) struct Connections {
    publishing: Pool<Opener>,
    consuming: Pool<Opener>,
    brokers: Arc<[Broker]>,
    deadline: Duration,
    closed: CancellationToken,
    threads: Arc<Threads>,
}

/// One address of the broker. The URL has credentials and is never printed.
pub(super) struct Broker {
    pub(super) uri: AMQPUri,
    /// `host:port/vhost`, for errors.
    pub(super) address: String,
}

impl Broker {
    /// The same for others, without the password.
    pub(super) fn address_of(&self) -> Address {
        let uri = &self.uri;
        Address {
            host: uri.authority.host.clone(),
            port: uri.authority.port,
            vhost: uri.vhost.clone(),
            user: uri.authority.userinfo.username.clone(),
            is_encrypted: uri.scheme == AMQPScheme::AMQPS,
            heartbeat: Duration::from_secs(uri.query.heartbeat.unwrap_or(0).into()),
        }
    }
}

/// Opens connections for a pool.
pub(super) struct Opener {
    brokers: Arc<[Broker]>,
    tls: OwnedTLSConfig,
    name: String,
    deadline: Duration,
    /// Where connections live.
    runtime: Handle,
}

impl Connections {
    pub(super) fn new(settings: &BrokerSettings) -> Result<Self, TransportError> {
        let brokers: Arc<[Broker]> = settings
            .urls
            .iter()
            .map(|url| broker(url.expose_secret(), settings))
            .collect::<Result<_, _>>()?;
        let user = |broker: &Broker| broker.uri.authority.userinfo.username.clone();
        if brokers.windows(2).any(|two| user(&two[0]) != user(&two[1])) {
            // Every message carries the name of its user, and the broker compares it.
            let reason = "the URLs in broker.url have different users".to_owned();
            return Err(refused("the configuration", reason));
        }
        if brokers.is_empty() {
            return Err(refused(
                "the configuration",
                "broker.url is empty".to_owned(),
            ));
        }
        let ca = settings.ca_file.as_ref().map(|file| {
            std::fs::read_to_string(file).map_err(|e| {
                refused(
                    "the configuration",
                    format!("broker.ca_file {}: {e}", file.display()),
                )
            })
        });
        let tls = OwnedTLSConfig {
            identity: None,
            cert_chain: ca.transpose()?,
        };
        let deadline = settings.connect_timeout;
        let threads = Threads::start()?;
        let pool = |role: &str| {
            let name = format!("counterfoil {role} {}@{}", std::process::id(), hostname());
            let opener = Opener {
                brokers: brokers.clone(),
                tls: tls.clone(),
                name,
                deadline,
                runtime: threads.handle().clone(),
            };
            // Each broker of the list may take its whole time before the next one is tried.
            let all = settings.connect_timeout_of_all();
            let timeouts = Timeouts {
                wait: Some(all + deadline),
                create: Some(all + deadline),
                recycle: Some(deadline),
            };
            let pool = Pool::builder(opener)
                .max_size(1)
                .timeouts(timeouts)
                .runtime(deadpool::Runtime::Tokio1);
            pool.build()
                .map_err(|error| refused("the connection pool", error.to_string()))
        };
        Ok(Self {
            publishing: pool("publisher")?,
            consuming: pool("consumer")?,
            brokers,
            deadline,
            closed: CancellationToken::new(),
            threads: Arc::new(threads),
        })
    }

    /// A new channel on the publishing connection, and what that connection says of itself.
    pub(super) async fn publishing_channel(
        &self,
    ) -> Result<(Channel, ConnectionStatus), TransportError> {
        self.channel(&self.publishing).await
    }

    /// Whether the broker has an alarm, and reads nothing more from the connection that publishes.
    pub(super) async fn publishing_is_blocked(&self) -> bool {
        let connection = self.publishing.get().await;
        connection.is_ok_and(|connection| connection.status().blocked())
    }

    /// A new channel on the consuming connection.
    pub(super) async fn consuming_channel(&self) -> Result<Channel, TransportError> {
        let (channel, _) = self.channel(&self.consuming).await?;
        Ok(channel)
    }

    async fn channel(
        &self,
        pool: &Pool<Opener>,
    ) -> Result<(Channel, ConnectionStatus), TransportError> {
        if self.closed.is_cancelled() {
            return Err(TransportError::Closed);
        }
        let connection: Object<Opener> =
            pool.get().await.map_err(|error| self.pool_error(error))?;
        let opening = self
            .within("a new channel", connection.create_channel())
            .await?;
        let channel = opening
            .map_err(|error| fault::transport_error(&error, "a new channel", &self.address()))?;
        Ok((channel, connection.status().clone()))
    }

    /// Awaits an answer of the broker, for as long as the deadline allows.
    pub(super) async fn within<T>(
        &self,
        what: &str,
        answer: impl Future<Output = T>,
    ) -> Result<T, TransportError> {
        within(self.deadline, what, answer).await
    }

    /// Where everything runs that must go on while other code blocks its threads.
    pub(super) fn runtime(&self) -> &Handle {
        self.threads.handle()
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// Ends when the transport is closed.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// The addresses of the broker, without credentials.
    pub(super) fn address(&self) -> String {
        self.brokers
            .iter()
            .map(|broker| broker.address.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub(super) fn user(&self) -> &str {
        self.brokers
            .first()
            .map_or("", |broker| &broker.uri.authority.userinfo.username)
    }

    pub(super) async fn close(&self) {
        self.closed.cancel();
        for pool in [&self.publishing, &self.consuming] {
            if pool.status().size > 0
                && let Ok(connection) = pool.get().await
            {
                // A connection that does not say goodbye in time is dropped, which closes it too.
                let _ = self
                    .within("goodbye", connection.close(200, "bye".into()))
                    .await;
            }
            pool.close();
        }
    }

    fn pool_error(&self, error: PoolError<TransportError>) -> TransportError {
        match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => TransportError::Timeout {
                what: format!("a connection to {}", self.address()),
                after: self.deadline,
            },
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                TransportError::Closed
            }
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connections({})", self.address())
    }
}

impl Manager for Opener {
    type Type = Connection;
    type Error = TransportError;

    async fn create(&self) -> Result<Connection, TransportError> {
        let mut last = TransportError::Closed;
        for broker in self.brokers.iter() {
            let name = LongString::from(self.name.clone());
            let properties = ConnectionProperties::default().with_connection_name(name);
            let runtime = {
                let _here = self.runtime.enter();
                lapin::runtime::default_runtime()
            };
            let runtime = runtime
                .map_err(|error| fault::transport_error(&error, "a connection", &broker.address))?;
            let connecting = Connection::connect_uri_with_config(
                broker.uri.clone(),
                properties,
                self.tls.clone(),
                runtime,
            );
            match within(
                self.deadline,
                &format!("a connection to {}", broker.address),
                connecting,
            )
            .await
            {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => {
                    last = fault::transport_error(&error, "the connection", &broker.address)
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        metrics: &Metrics,
    ) -> RecycleResult<TransportError> {
        if !connection.status().connected() {
            return Err(RecycleError::message("the connection is gone"));
        }
        // lapin counts channels up to this number, and begins again: of a number under which the broker closed a
        // channel once, it says for ever that the broker refuses it. Channels that are open keep their connection.
        let numbers = match connection.configuration().channel_max() {
            0 => u16::MAX,
            numbers => numbers,
        };
        match metrics.recycle_count < usize::from(numbers / 2) {
            true => Ok(()),
            false => Err(RecycleError::message("it has opened many channels")),
        }
    }
}

/// Awaits an answer on `channel` for at most `after`. One that does not come in time closes the channel: what the
/// broker still does for it, a consumer that it begins late for example, ends with that.
pub(super) async fn within_on<T>(
    channel: &Channel,
    after: Duration,
    what: &str,
    answer: impl Future<Output = T>,
) -> Result<T, TransportError> {
    let answered = within(after, what, answer).await;
    if answered.is_err() {
        let channel = channel.clone();
        tokio::spawn(async move {
            // The connection's end is the end of this too.
            let _ = channel.close(200, "bye".into()).await;
        });
    }
    answered
}

/// Awaits `answer` for at most `after`.
pub(super) async fn within<T>(
    after: Duration,
    what: &str,
    answer: impl Future<Output = T>,
) -> Result<T, TransportError> {
    tokio::time::timeout(after, answer)
        .await
        .map_err(|_| TransportError::Timeout {
            what: what.to_owned(),
            after,
        })
}

fn broker(url: &str, settings: &BrokerSettings) -> Result<Broker, TransportError> {
    // The error of the parser may quote the URL, and with it the password.
    let mut uri: AMQPUri = url.parse().map_err(|_| {
        refused(
            "the configuration",
            "a URL in broker.url is not amqp://user:password@host:port/vhost".to_owned(),
        )
    })?;
    if uri.query.heartbeat.is_none() {
        uri.query.heartbeat = Some(u16::try_from(settings.heartbeat.as_secs()).unwrap_or(u16::MAX));
    }
    let address = format!(
        "{}:{}/{}",
        uri.authority.host,
        uri.authority.port,
        uri.vhost.replace('/', "%2f")
    );
    Ok(Broker { uri, address })
}

fn refused(what: &str, reason: String) -> TransportError {
    TransportError::Refused {
        what: what.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_of_one_list_have_one_user() {
        let settings = |urls: &[&str]| BrokerSettings {
            urls: urls.iter().map(|url| (*url).to_owned().into()).collect(),
            ..BrokerSettings::default()
        };
        let same = settings(&["amqp://a:1@one/v", "amqp://a:2@two/v"]);
        assert!(Connections::new(&same).is_ok());
        let different = settings(&["amqp://a:1@one/v", "amqp://b:1@two/v"]);
        let error = Connections::new(&different)
            .expect_err("refused")
            .to_string();
        assert!(error.contains("different users"), "{error}");
        assert!(!error.contains("a:1"), "{error}");
    }
}
