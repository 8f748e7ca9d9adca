//! How a producer comes to be. None of it needs the broker.

use super::guard::{Guard, WhileOpen};
use super::metrics::Metrics;
use super::observer::Observer;
use super::replies::Replies;
use super::send::{Inner, Producer};
use crate::config::BreakerSettings;
use crate::topology::{DelayLevels, Names};
use crate::transport::{Connect, DeclareError, PublisherOptions, Transport};
use std::sync::{Arc, OnceLock};
use tokio_util::task::AbortOnDropHandle;

/// A producer to be, see [`Producer::builder`].
///
/// ```
/// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
/// # use std::sync::Arc;
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Add { x: i64, y: i64 }
/// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
/// use counterfoil_toolbox::config::BreakerSettings;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
/// # let transport = Arc::new(broker);
/// let breaker = BreakerSettings { reset_timeout: Duration::from_secs(1), ..Default::default() };
/// let producer = Producer::builder(transport, names).breaker(breaker).build();
/// producer.send(Add { x: 2, y: 3 }).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct ProducerBuilder {
    transport: Arc<dyn Transport>,
    names: Names,
    breaker: BreakerSettings,
    while_open: WhileOpen,
    observer: Option<Arc<dyn Observer>>,
}

impl ProducerBuilder {
    pub(super) fn new(transport: Arc<dyn Transport>, names: Names) -> Self {
        Self {
            transport,
            names,
            breaker: BreakerSettings::default(),
            while_open: WhileOpen::Refuse,
            observer: None,
        }
    }

    /// Settings of its circuit breaker: `[breaker]` of a configuration. Default: their defaults.
    pub fn breaker(mut self, settings: BreakerSettings) -> Self {
        self.breaker = settings;
        self
    }

    /// Its sends wait for a broker that is away, up to three times the confirm time-out, instead of
    /// being refused: for programs in which nobody waits for the answer.
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Add { x: i64, y: i64 }
    /// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let transport = Arc::new(broker.clone());
    /// let producer = Producer::builder(transport, names).patient().build();
    /// broker.faults().refuse_connections(Duration::from_secs(10));
    /// producer.send(Add { x: 2, y: 3 }).await?; // ten seconds later
    /// # Ok(()) }
    /// ```
    pub fn patient(mut self) -> Self {
        self.while_open = WhileOpen::Wait;
        self
    }

    /// Tells `observer` of every task once the broker has it. Of several the last one is told. Default: nobody.
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// # use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Add { x: i64, y: i64 }
    /// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
    /// use counterfoil_toolbox::{producer::Observer, transport::Publication};
    ///
    /// #[derive(Debug, Default)]
    /// struct Count(AtomicU32);
    ///
    /// impl Observer for Count {
    ///     fn sent(&self, _: &Publication) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let transport = Arc::new(broker);
    /// let count = Arc::new(Count::default());
    /// let producer = Producer::builder(transport, names).observer(count.clone()).build();
    /// producer.send(Add { x: 2, y: 3 }).await?;
    /// assert_eq!(count.0.load(Ordering::Relaxed), 1);
    /// # Ok(()) }
    /// ```
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The producer. It connects in the background, whether there is a broker yet or not.
    #[must_use]
    pub fn build(self) -> Producer {
        self.with(None)
    }

    /// A producer whose handles can be asked for results. See [`Producer::listening`].
    ///
    /// ```
    /// # use counterfoil_toolbox::{Producer, config::BrokerSettings, topology, transport::memory::MemoryBroker};
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Add { x: i64, y: i64 }
    /// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "demo.add"; type Output = i64; }
    /// use counterfoil_toolbox::producer::ResultError;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
    /// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
    /// # let transport = Arc::new(broker.clone());
    /// let producer = Producer::builder(transport, names).listening("shop").await?;
    /// let mut handle = producer.send(Add { x: 2, y: 3 }).await?;
    /// match handle.result(Duration::from_secs(5)).await {
    ///     Ok(sum) => println!("{sum}"),
    ///     Err(ResultError::Timeout { id, .. }) => println!("{id} goes on; ask again later"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`DeclareError`] when the broker answers and does not let its queue be declared.
    pub async fn listening(self, owner: &str) -> Result<Producer, DeclareError> {
        let transport = self.transport.clone();
        let replies = Replies::listen(transport, self.names.clone(), owner).await?;
        Ok(self.with(Some(replies)))
    }

    fn with(self, replies: Option<Replies>) -> Producer {
        let cap = PublisherOptions::default().reconnect_cap;
        let publisher = self.transport.publisher(PublisherOptions {
            connect: Connect::Always,
            // A broker that is back is noticed within this time.
            reconnect_cap: cap.min(self.breaker.reset_timeout),
            ..PublisherOptions::default()
        });
        let (guard, listener) = Guard::new(
            &*self.transport,
            publisher.clone(),
            self.breaker,
            self.while_open,
        );
        Producer {
            inner: Arc::new(Inner {
                transport: self.transport,
                publisher,
                guard,
                metrics: Metrics::new(),
                _listener: AbortOnDropHandle::new(listener),
                reporter: OnceLock::new(),
                names: self.names,
                levels: DelayLevels::default(),
                replies,
                observer: self.observer,
            }),
        }
    }
}
