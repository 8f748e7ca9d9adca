//! Exchanges, queues and bindings as values.

use crate::message::{HeaderValue, Headers};
use crate::names::{ExchangeName, QueueName, RoutingKey};
use std::fmt;

/// One thing to declare at a broker.
///
/// ```
/// # use counterfoil_toolbox::{message::Headers, transport::memory::MemoryBroker};
/// use counterfoil_toolbox::topology::{self, Binding, Destination, Exchange, ExchangeKind, Item, Queue, QueueKind};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let broker = MemoryBroker::new();
/// let mut arguments = Headers::new();
/// arguments.push("x-max-length", 1000);
/// let items = vec![
///     Item::Exchange(Exchange { name: "audit".parse()?, kind: ExchangeKind::Topic, internal: false, alternate: None }),
///     Item::Queue(Queue { name: "exports".parse()?, kind: QueueKind::Quorum, arguments }),
///     Item::Binding(Binding {
///         source: "audit".parse()?,
///         destination: Destination::Queue("exports".parse()?),
///         key: "export.#".parse()?,
///         arguments: Headers::new(),
///     }),
/// ];
/// assert_eq!(items[1].details(), "quorum, x-max-length=1000");
/// assert_eq!(items[2].to_string(), r#"binding of queue exports to exchange audit by "export.#""#);
/// topology::apply(&broker, items).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// An exchange.
    Exchange(Exchange),
    /// A queue.
    Queue(Queue),
    /// A route from an exchange to a queue or to another exchange.
    Binding(Binding),
}

/// A durable exchange. [`Item`] has an example.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// Its name.
    pub name: ExchangeName,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Only other exchanges may publish to it.
    pub internal: bool,
    /// Where a message goes that it cannot route. `None`: nowhere.
    pub alternate: Option<ExchangeName>,
}

/// How an exchange routes. [`Item`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// To the bindings whose key is the message's.
    Direct,
    /// To all bindings.
    Fanout,
    /// To the bindings whose pattern the key matches.
    Topic,
    /// To the bindings whose arguments the headers match.
    Headers,
}

impl ExchangeKind {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

/// A durable queue. [`Item`] has an example.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Its name.
    pub name: QueueName,
    /// How it stores.
    pub kind: QueueKind,
    /// Its arguments, without `x-queue-type`.
    pub arguments: Headers,
}

/// How a queue stores its messages. [`Queue::all_arguments`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// Replicated, with delivery limits and safe dead-lettering. Ours unless told otherwise.
    Quorum,
    /// On one node, without delivery limits.
    Classic,
    /// A log that is read, not emptied.
    Stream,
}

impl QueueKind {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
            Self::Stream => "stream",
        }
    }
}

impl Queue {
    /// The arguments as they are declared, type included. Classic is RabbitMQ's default and is not
    /// spelled out, so that queues which Celery declares without arguments are the same.
    ///
    /// ```
    /// # use counterfoil_toolbox::message::Headers;
    /// use counterfoil_toolbox::topology::{Queue, QueueKind};
    ///
    /// let queue = Queue { name: "export".parse()?, kind: QueueKind::Quorum, arguments: Headers::new() };
    /// assert_eq!(queue.all_arguments().text("x-queue-type"), Some("quorum"));
    /// let classic = Queue { kind: QueueKind::Classic, ..queue };
    /// assert!(classic.all_arguments().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn all_arguments(&self) -> Headers {
        let mut all = self.arguments.clone();
        if self.kind != QueueKind::Classic {
            all.set("x-queue-type", self.kind.as_str());
        }
        all
    }
}

/// A route. [`Item`] has an example.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// Where messages come from.
    pub source: ExchangeName,
    /// Where they go.
    pub destination: Destination,
    /// Pattern that their key must match.
    pub key: RoutingKey,
    /// What their headers must match, for a headers exchange.
    pub arguments: Headers,
}

/// Where a route leads. [`Item`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To a queue.
    Queue(QueueName),
    /// To another exchange.
    Exchange(ExchangeName),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(name) => write!(f, "queue {name}"),
            Self::Exchange(name) => write!(f, "exchange {name}"),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(exchange) => write!(f, "exchange {}", exchange.name),
            Self::Queue(queue) => write!(f, "queue {}", queue.name),
            Self::Binding(binding) => {
                write!(
                    f,
                    "binding of {} to exchange {} by {:?}",
                    binding.destination,
                    binding.source,
                    binding.key.as_str()
                )
            }
        }
    }
}

impl Item {
    /// Its properties on one line, as `topology plan` prints them.
    #[must_use]
    pub fn details(&self) -> String {
        match self {
            Self::Exchange(exchange) => {
                let internal = if exchange.internal { ", internal" } else { "" };
                let alternate = exchange
                    .alternate
                    .as_ref()
                    .map(|a| format!(", alternate {a}"))
                    .unwrap_or_default();
                format!("{}{internal}{alternate}", exchange.kind.as_str())
            }
            Self::Queue(queue) => {
                let arguments = queue
                    .arguments
                    .iter()
                    .map(|(name, value)| format!(", {name}={}", plain(value)));
                format!("{}{}", queue.kind.as_str(), arguments.collect::<String>())
            }
            Self::Binding(binding) => {
                let arguments = binding
                    .arguments
                    .iter()
                    .map(|(name, value)| format!("{name}={}", plain(value)));
                arguments.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

fn plain(value: &HeaderValue) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_json().to_string(), str::to_owned)
}
