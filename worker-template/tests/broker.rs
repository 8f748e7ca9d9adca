//! The worker at a real broker: that of COUNTERFOIL_BROKER__URL, or the one on this machine.
//!
//! ```text
//! cargo test --test broker -- --ignored
//! ```

use anyhow::Result;
use counterfoil_testkit::functional_suite;
use counterfoil_toolbox::config::{Config, LoadOptions, Role};

use abacus_worker::handlers::register;
use abacus_worker::settings::Settings;

/// Exchanges, queues and permissions, the way of every message, and a task that the worker runs. What is wrong is listed
/// with what mends it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs RabbitMQ 3.10 or newer"]
async fn everything_that_the_worker_needs_is_at_the_broker() -> Result<()> {
    let config = Config::load(LoadOptions::from_process(Role::Worker))?;
    let folder = tempfile::tempdir()?;
    let documents = folder.path().to_owned();
    let settings = Settings { documents };
    let worker = |worker| register(worker, settings.clone());
    functional_suite(&config, worker).await?.assert_ok();
    Ok(())
}
