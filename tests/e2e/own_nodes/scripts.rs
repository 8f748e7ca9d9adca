//! The scripts of `deploy/rabbitmq`, run against a node of our own.

use anyhow::Context as _;
use counterfoil_testkit::RabbitNode;
use std::path::Path;
use std::process::Command;

/// Runs one of them; whatever it asks of rabbitmqctl is asked of `node`.
pub(super) async fn run(node: &RabbitNode, script: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rabbitmq");
    let output = Command::new(folder.join(script))
        .args(arguments)
        .env("RABBITMQCTL", "printf %s\\n")
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{arguments:?}: {errors}");
    let said = String::from_utf8(output.stdout)?;
    let mut words = &said.lines().collect::<Vec<_>>()[..];
    while let Some(command) = words.first() {
        let count = match *command {
            "clear_topic_permissions" => 4,
            "set_permissions" | "set_topic_permissions" => 7,
            "set_policy" => 10,
            other => anyhow::bail!("it calls {other}"),
        };
        let (call, rest) = words.split_at_checked(count).context("a whole call")?;
        node.control(call).await?;
        words = rest;
    }
    Ok(())
}
