//! A private cluster of three RabbitMQ nodes on one machine.

use std::time::Duration;

use anyhow::Context;

use super::rabbit::RabbitNode;
use super::rabbit_settings::{NODE_NAME, RabbitOptions};
use crate::wait::eventually;

/// The Erlang names of the nodes. They share the port mapper of the first.
const NAMES: [&str; 3] = [
    NODE_NAME,
    "counterfoil2@localhost",
    "counterfoil3@localhost",
];

/// How long the nodes may take to see each other.
const MEETING: Duration = Duration::from_secs(60);

/// Erlang: how many nodes this one is connected with, itself included. What the broker calls the same differs by version.
const RUNNING: &str = "length(nodes()) + 1.";

/// Three RabbitMQ servers of this process alone, joined into one cluster, on the loopback address.
///
/// Starting takes some 15 seconds and 400 MB. Quorum queues that are declared here have a member on each node.
/// Dropping it kills the nodes and removes their data; the same happens when this process ends in any way.
///
/// ```no_run
/// use counterfoil_testkit::{RabbitCluster, RabbitOptions};
///
/// # async fn example() -> anyhow::Result<()> {
/// let mut cluster = RabbitCluster::start(RabbitOptions::default()).await?;
/// let urls = cluster.amqp_urls("/", 0); // of all three, for `broker.url`
/// let leader = cluster.leader_of("image", 0).await?;
/// cluster.node_mut(leader).kill9().await?; // whoever uses `urls` goes on at another one
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RabbitCluster {
    nodes: [RabbitNode; 3],
}

impl RabbitCluster {
    /// Starts three nodes, each with `options`, and returns once all take connections and see each other.
    ///
    /// # Errors
    /// When RabbitMQ is not installed, a node does not come up, or they do not find each other.
    pub async fn start(options: RabbitOptions) -> anyhow::Result<Self> {
        // One after the other: each joins what is there, and they are not done sooner on few processors.
        let first = RabbitNode::start_with(options.clone()).await?;
        let second = RabbitNode::join(&first, NAMES[1], options.clone()).await?;
        let third = RabbitNode::join(&first, NAMES[2], options).await?;
        let cluster = Self {
            nodes: [first, second, third],
        };
        cluster.wait_for_all().await?;
        Ok(cluster)
    }

    /// Waits until every node that runs sees all three.
    ///
    /// # Errors
    /// When they do not within a minute.
    pub async fn wait_for_all(&self) -> anyhow::Result<()> {
        for node in &self.nodes {
            eventually("three nodes to be one cluster", MEETING, async || {
                let running = node.control(&["eval", RUNNING]).await?;
                Ok((running.trim() == "3").then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// One of the nodes: 0, 1 or 2.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn node(&self, index: usize) -> &RabbitNode {
        &self.nodes[index]
    }

    /// The same, to kill or restart it.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn node_mut(&mut self, index: usize) -> &mut RabbitNode {
        &mut self.nodes[index]
    }

    /// The URLs of a vhost at all nodes, for the user `guest`, separated by commas as in `broker.url`. The node
    /// `first` stands first.
    #[must_use]
    pub fn amqp_urls(&self, vhost: &str, first: usize) -> String {
        let mut urls = self.nodes.each_ref().map(|node| node.amqp_url(vhost));
        urls.rotate_left(first % NAMES.len());
        urls.join(",")
    }

    /// The index of the node on which the leader of a queue of vhost `/` is, asked of the node `at`.
    ///
    /// # Errors
    /// When there is no such queue, or it has no leader.
    pub async fn leader_of(&self, queue: &str, at: usize) -> anyhow::Result<usize> {
        let asked = ["list_queues", "--no-table-headers", "name", "leader"];
        let answer = self.nodes[at].control(&asked).await?;
        let leader = answer.lines().find_map(|line| {
            let (name, leader) = line.split_once('\t')?;
            (name == queue).then(|| leader.trim().to_owned())
        });
        let leader = leader.with_context(|| format!("no queue {queue}: {answer}"))?;
        let index = NAMES.iter().position(|name| **name == *leader);
        index.with_context(|| format!("queue {queue} has no leader: {leader:?}"))
    }
}
