//! A vhost of one test: created empty, looked into and disturbed through the management API.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Broker, Management, Permissions, encoded};
use crate::elsewhere;
use crate::wait::eventually;

/// Longer than the quarter of a second after which a private node renews its figures.
const FIGURES_AGE: Duration = Duration::from_millis(300);

/// How long a queue may take to stop changing.
const REST: Duration = Duration::from_secs(60);

/// A vhost that belongs to one test. Dropping it deletes it, with its queues and [users](super::User).
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// # let vhost = counterfoil_testkit::Broker::shared().await?.vhost().await?;
/// let queues = vhost.queues().await?; // what was declared
/// let depth = vhost.depth("image").await?;
/// vhost.close_connections().await?; // what does your program do about that?
/// vhost.close().await?; // dropping it does the same, in silence
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Vhost {
    name: String,
    broker: Broker,
    /// Those to delete with it.
    pub(super) users: Mutex<Vec<String>>,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting for a consumer.
    pub ready: u64,
    /// Delivered, and neither acked nor returned.
    pub unacked: u64,
}

/// One binding, as the broker lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: String,
    /// Whether `destination` is a `queue` or an `exchange`.
    pub destination_type: String,
    /// The queue or exchange that messages go to.
    pub destination: String,
    /// The pattern or key.
    pub routing_key: String,
    /// Arguments, such as those of a headers exchange.
    pub arguments: Value,
}

impl Vhost {
    pub(super) async fn create(broker: Broker) -> anyhow::Result<Self> {
        let name = format!("test-{}", Uuid::now_v7().simple());
        let vhost = Self {
            name,
            broker,
            users: Mutex::default(),
        };
        let own_user = vhost.broker.own_user().to_owned();
        vhost
            .management()
            .put(&vhost.path("vhosts", ""), &json!({}))
            .await?;
        vhost.set_permissions(&own_user, Permissions::ALL).await?;
        Ok(vhost)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of this vhost for the broker's own user, who may do everything.
    #[must_use]
    pub fn amqp_url(&self) -> String {
        self.broker.vhost_url(&self.name)
    }

    /// The broker it is on.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// How many messages `queue` holds, once that has stopped changing: two looks, further apart than
    /// the broker's figures are old, have to agree. At least 300 ms. Not for a moment at which a quorum
    /// queue has no leader: the broker then says 0.
    ///
    /// # Errors
    /// When there is no such queue, it does not come to rest within a minute, or the broker does not
    /// answer.
    pub async fn depth(&self, queue: &str) -> anyhow::Result<Depth> {
        let mut before = None;
        let rest = format!("queue {queue} to come to rest");
        eventually(&rest, REST, async || {
            let now = self.depth_lately(queue).await?;
            if before.replace(now) == Some(now) {
                return Ok(Some(now));
            }
            tokio::time::sleep(FIGURES_AGE).await;
            Ok(None)
        })
        .await
    }

    /// How many messages `queue` held a quarter of a second ago.
    async fn depth_lately(&self, queue: &str) -> anyhow::Result<Depth> {
        // The list, because only that has figures in every configuration of the broker.
        let queues = self.management().get(&self.path("queues", "")).await?;
        let queue = list(&queues)
            .iter()
            .find(|candidate| candidate["name"] == queue)
            .with_context(|| format!("vhost {} has no queue {queue}", self.name))?;
        let figure = |key: &str| queue[key].as_u64().unwrap_or(0);
        Ok(Depth {
            ready: figure("messages_ready"),
            unacked: figure("messages_unacknowledged"),
        })
    }

    /// The names of all queues, in alphabetical order.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn queues(&self) -> anyhow::Result<Vec<String>> {
        self.names("queues").await
    }

    /// The names of all exchanges that are not the broker's own, in alphabetical order.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn exchanges(&self) -> anyhow::Result<Vec<String>> {
        let mut names = self.names("exchanges").await?;
        names.retain(|name| !name.is_empty() && !name.starts_with("amq."));
        Ok(names)
    }

    async fn names(&self, kind: &str) -> anyhow::Result<Vec<String>> {
        let found = self.management().get(&self.path(kind, "")).await?;
        let mut names: Vec<String> = list(&found).iter().map(|item| text(item, "name")).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// All bindings but those that every queue has to the default exchange.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn bindings(&self) -> anyhow::Result<Vec<Binding>> {
        let found = self.management().get(&self.path("bindings", "")).await?;
        let bindings = list(&found).iter().map(|item| Binding {
            source: text(item, "source"),
            destination_type: text(item, "destination_type"),
            destination: text(item, "destination"),
            routing_key: text(item, "routing_key"),
            arguments: item["arguments"].clone(),
        });
        Ok(bindings
            .filter(|binding| !binding.source.is_empty())
            .collect())
    }

    /// Publishes a text as persons and foreign programs do, with any properties: those of the
    /// management API, such as `{"expiration": "100"}`.
    ///
    /// # Errors
    /// When the broker does not answer, or no queue took the message.
    pub async fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        payload: &str,
        properties: &Value,
    ) -> anyhow::Result<()> {
        let name = if exchange.is_empty() {
            "amq.default"
        } else {
            exchange
        };
        let body = json!({
            "routing_key": routing_key,
            "payload": payload,
            "payload_encoding": "string",
            "properties": properties,
        });
        let path = format!("{}/publish", self.path("exchanges", name));
        let answer = self.management().post(&path, &body).await?;
        anyhow::ensure!(
            answer["routed"] == true,
            "{exchange} {routing_key}: {answer}"
        );
        Ok(())
    }

    /// Deletes a queue with everything in it, as an operator might.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn delete_queue(&self, queue: &str) -> anyhow::Result<()> {
        self.management().delete(&self.path("queues", queue)).await
    }

    /// Deletes all messages that wait in a queue, as an operator might.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn purge(&self, queue: &str) -> anyhow::Result<()> {
        let queue = self.path("queues", queue);
        self.management().delete(&format!("{queue}/contents")).await
    }

    /// Closes all connections to this vhost, as an operator might, and says how many there were.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn close_connections(&self) -> anyhow::Result<usize> {
        let names = self.connections().await?;
        for name in &names {
            self.management()
                .delete(&format!("/connections/{}", encoded(name)))
                .await?;
        }
        Ok(names.len())
    }

    /// The broker's names of all connections to this vhost.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn connections(&self) -> anyhow::Result<Vec<String>> {
        let found = self.management().get("/connections").await?;
        let here = list(&found)
            .iter()
            .filter(|item| item["vhost"] == self.name.as_str());
        Ok(here.map(|item| text(item, "name")).collect())
    }

    /// Deletes the vhost now and says whether that worked; dropping does the same in silence.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn close(mut self) -> anyhow::Result<()> {
        let (name, users) = self.take();
        remove(self.management(), &name, &users).await
    }

    /// The names of all that has to be deleted; nothing the second time.
    fn take(&mut self) -> (String, Vec<String>) {
        let users = self
            .users
            .get_mut()
            .expect("nobody panics while adding a name");
        (std::mem::take(&mut self.name), std::mem::take(users))
    }

    pub(super) fn management(&self) -> &Management {
        self.broker.management()
    }

    /// The path of one thing of this vhost, or of all of its kind where `item` is empty.
    pub(super) fn path(&self, kind: &str, item: &str) -> String {
        let all = format!("/{kind}/{}", encoded(&self.name));
        if item.is_empty() {
            all
        } else {
            format!("{all}/{}", encoded(item))
        }
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        let (name, users) = self.take();
        if name.is_empty() {
            return;
        }
        let management = self.management().clone();
        // In silence: the test may be about a broker that is gone.
        let _ = elsewhere::wait_for(async move { remove(&management, &name, &users).await });
    }
}

async fn remove(management: &Management, vhost: &str, users: &[String]) -> anyhow::Result<()> {
    for user in users {
        management
            .delete(&format!("/users/{}", encoded(user)))
            .await?;
    }
    management
        .delete(&format!("/vhosts/{}", encoded(vhost)))
        .await
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(item: &Value, key: &str) -> String {
    item[key].as_str().unwrap_or_default().to_owned()
}
