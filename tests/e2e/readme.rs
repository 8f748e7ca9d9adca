//! The first screen of the README compiles, and sends and runs what it says.

use counterfoil_testkit::Broker;
use counterfoil_toolbox::config::BrokerSettings;

#[allow(clippy::print_stdout, reason = "the example talks to a person")]
mod example {
    include!("readme_example.rs");

    /// The parts that the README shows as functions.
    pub(super) async fn both(broker: &BrokerSettings) -> anyhow::Result<()> {
        tokio::select! {
            code = work(broker) => anyhow::bail!("the worker ended by itself: {code:?}"),
            sent = produce(broker) => sent,
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
async fn the_readmes_producer_sends_to_a_real_broker() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let broker = BrokerSettings {
        urls: vec![vhost.amqp_url().into()],
        ..BrokerSettings::default()
    };
    let service = counterfoil_toolbox::ServiceName::new("image")?;
    crate::platform::apply(&broker, &[service]).await?;
    example::both(&broker).await
}
