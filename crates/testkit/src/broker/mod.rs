//! Where tests get a broker: one for all of them, and a fresh vhost for each.
//!
//! `counterfoil-with-nodes` (and so `tests/run`) starts one RabbitMQ and names it in the environment.
//! Without that, [`Broker::shared`] starts a node for the test process: convenient for a single
//! test, slow for many, since `cargo nextest` gives each test a process of its own.

mod vhost;

mod access;
mod http;
mod management;

use std::env;

use anyhow::Context;
use tokio::sync::OnceCell;

pub use access::{Permissions, User};
pub use management::Management;
pub use vhost::{Binding, Depth, Vhost};

pub(crate) use http::encoded;

use crate::node::RabbitNode;

/// Names the URL of the shared broker, without a vhost.
pub const AMQP_URL: &str = "COUNTERFOIL_TEST_AMQP_URL";

/// Names the URL of the shared broker's management API.
pub const MANAGEMENT_URL: &str = "COUNTERFOIL_TEST_MANAGEMENT_URL";

/// A RabbitMQ that tests may create vhosts on. Cheap to clone.
///
/// ```no_run
/// use counterfoil_testkit::Broker;
/// use counterfoil_toolbox::config::BrokerSettings;
/// use counterfoil_toolbox::transport::amqp::AmqpTransport;
///
/// # async fn example() -> anyhow::Result<()> {
/// let vhost = Broker::shared().await?.vhost().await?; // of this test alone; dropped, it is deleted
/// let urls = vec![vhost.amqp_url().into()];
/// let transport = AmqpTransport::new(&BrokerSettings { urls, ..BrokerSettings::default() })?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Broker {
    /// Without a vhost.
    amqp_url: String,
    management: Management,
}

impl Broker {
    /// The broker that the environment names, else a private node of this process, which ends with it.
    ///
    /// # Errors
    /// When only one of the two variables is set, or no node can be started.
    pub async fn shared() -> anyhow::Result<Self> {
        // A static is never dropped: the node's watchdog ends it with this process.
        static NODE: OnceCell<RabbitNode> = OnceCell::const_new();
        if let Ok(amqp_url) = env::var(AMQP_URL) {
            let management_url = env::var(MANAGEMENT_URL)
                .with_context(|| format!("{AMQP_URL} is set and {MANAGEMENT_URL} is not"))?;
            return Self::at(&amqp_url, &management_url);
        }
        Self::of(NODE.get_or_try_init(RabbitNode::start).await?)
    }

    /// The broker of a private node, for a test that kills or freezes it.
    ///
    /// # Errors
    /// Never for a node that was started.
    pub fn of(node: &RabbitNode) -> anyhow::Result<Self> {
        Self::at(&node.amqp_server_url(), &node.management_url())
    }

    /// The broker at these URLs; a vhost in the first is ignored.
    ///
    /// # Errors
    /// When the second is not `http://user:password@host:port`.
    pub fn at(amqp_url: &str, management_url: &str) -> anyhow::Result<Self> {
        let (scheme, rest) = amqp_url
            .split_once("://")
            .context("the broker's URL has no scheme")?;
        let server = rest.split('/').next().unwrap_or_default();
        let amqp_url = format!("{scheme}://{server}");
        Ok(Self {
            amqp_url,
            management: Management::new(management_url)?,
        })
    }

    /// A fresh vhost, on which the broker's own user may do everything.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn vhost(&self) -> anyhow::Result<Vhost> {
        Vhost::create(self.clone()).await
    }

    /// The management API, for what a [`Vhost`] does not offer.
    #[must_use]
    pub fn management(&self) -> &Management {
        &self.management
    }

    /// The URL of a vhost, for the broker's own user.
    fn vhost_url(&self, vhost: &str) -> String {
        format!("{}/{}", self.amqp_url, encoded(vhost))
    }

    /// The URL of a vhost, for somebody else.
    fn vhost_url_as(&self, vhost: &str, user: &str, password: &str) -> String {
        let (scheme, server) = self
            .amqp_url
            .split_once("://")
            .expect("`at` put a scheme there");
        let host = server
            .rsplit('@')
            .next()
            .expect("splitting yields at least one part");
        format!(
            "{scheme}://{}:{}@{host}/{}",
            encoded(user),
            encoded(password),
            encoded(vhost)
        )
    }

    /// The name of the broker's own user.
    fn own_user(&self) -> &str {
        let (_, server) = self
            .amqp_url
            .split_once("://")
            .expect("`at` put a scheme there");
        server
            .split_once([':', '@'])
            .map_or("guest", |(user, _)| user)
    }
}
