//! What the tests share: a broker and a database of their own, daemons, messages.

mod beats;
mod daemon;
mod faulty;
mod faulty_missing;
mod faulty_outbox;
mod faulty_sessions;
mod log;
mod messages;
mod picky;
mod waits;
mod world;

use std::time::Duration;

/// Longest wait for anything that should happen at once, on a machine that does ten other things.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) use daemon::Running;
pub(crate) use faulty::FaultyStore;
pub(crate) use log::Log;
pub(crate) use messages::{batch, event, heartbeat, id, name, scheduled, settled, task};
pub(crate) use picky::PickyTransport;
pub(crate) use world::World;

/// Declares tests that run on both pairs of broker and database.
macro_rules! on_both_pairs {
    ($($test:ident),+ $(,)?) => {
        mod in_memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(crate::support::World::in_memory().await?).await
                }
            )+
        }
        mod on_servers {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(crate::support::World::on_servers().await?).await
                }
            )+
        }
    };
}
pub(crate) use on_both_pairs;
