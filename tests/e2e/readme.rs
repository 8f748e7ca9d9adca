//! The first screen of the README compiles, and sends and runs what it says.

use counterfoil_testkit::Broker;
use counterfoil_toolbox::ServiceName;
use counterfoil_toolbox::config::{Config, LoadOptions, Role};

#[allow(clippy::print_stdout, reason = "the example talks to a person")]
mod example {
    include!("readme_example.rs");

    /// The parts that the README shows as functions.
    pub(super) async fn both(config: &Config, path: String) -> anyhow::Result<u64> {
        // `main` would replace this process; what is told of it is tried by every worker's tests.
        let _: fn() = main;
        tokio::select! {
            code = work(config) => anyhow::bail!("the worker ended by itself: {code:?}"),
            result = produce(&config.broker, path) => result,
        }
    }
}

#[test]
fn the_readme_shows_the_code_that_is_compiled_here() {
    let readme = include_str!("../../README.md");
    let shown = readme
        .split("```rust\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    assert_eq!(shown, Some(include_str!("readme_example.rs")));
}

#[tokio::test]
async fn the_readmes_task_is_sent_and_runs_and_its_result_comes_back() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let options = LoadOptions::new(Role::Worker);
    let options = options.env([("COUNTERFOIL_BROKER__URL", vhost.amqp_url())]);
    let config = Config::load(options)?;
    let image = tempfile::NamedTempFile::new()?;
    std::fs::write(image.path(), [0; 1000])?;
    crate::platform::apply(&config.broker, &[ServiceName::new("image")?]).await?;
    let size = example::both(&config, image.path().display().to_string()).await?;
    assert_eq!(size, 5);
    Ok(())
}
