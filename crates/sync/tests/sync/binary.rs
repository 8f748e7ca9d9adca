//! The process `counterfoil-sync`: how it starts, what it says, how it ends.

use crate::support::{SOON, World, task};
use anyhow::Context;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A daemon with nothing in its environment but what the test gives it.
fn command(environment: &[(&'static str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil-sync"));
    command
        .env_clear()
        .envs(environment.iter().cloned())
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn terminate(child: &Child) -> anyhow::Result<()> {
    let pid = child.id().to_string();
    let status = Command::new("kill").args(["-TERM", &pid]).status()?;
    anyhow::ensure!(status.success(), "kill: {status}");
    Ok(())
}

async fn end_of(child: Child) -> anyhow::Result<Output> {
    let waiting = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = tokio::time::timeout(SOON, waiting).await;
    Ok(output.context("it did not end")???)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_mirrors_tells_systemd_and_drains_on_a_signal() -> anyhow::Result<()> {
    let world = World::on_servers().await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path)?;
    systemd.set_nonblocking(true)?;
    let mut environment = world.environment();
    environment.push(("NOTIFY_SOCKET", path.display().to_string()));
    let child = command(&environment).spawn()?;
    let mut told = String::new();
    let mut wait_to_hear = async |word: &str| {
        eventually(word, SOON, async || {
            let mut buffer = [0; 4096];
            while let Ok(length) = systemd.recv(&mut buffer) {
                told.push_str(&String::from_utf8_lossy(&buffer[..length]));
                told.push('\n');
            }
            Ok(told.contains(word).then_some(()))
        })
        .await
    };
    wait_to_hear("READY=1").await?;
    wait_to_hear("STATUS=").await?;
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    terminate(&child)?;
    let output = end_of(child).await?;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    wait_to_hear("STOPPING=1").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_nested_deep_enough_to_overflow_a_small_stack_do_not_end_it() -> anyhow::Result<()>
{
    let world = World::on_servers().await?;
    let child = command(&world.environment()).spawn()?;
    world.publish_nested(&world.names.tasks, "demo.add", 5_000)?;
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    let parked = world.parked(1).await?.remove(0);
    assert_eq!(parked.queue, world.names.tracking_queue.as_str());
    terminate(&child)?;
    let output = end_of(child).await?;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_ends_the_start_and_is_never_printed() -> anyhow::Result<()> {
    let world = World::on_servers().await?;
    let mut environment = world.environment();
    for (name, value) in &mut environment {
        if *name == "COUNTERFOIL_BROKER__URL" {
            let (_, server) = value.split_once('@').context("a URL with a user")?;
            *value = format!("amqp://guest:canary-password@{server}");
        }
    }
    environment.push(("RUST_LOG", "trace".to_owned()));
    let output = end_of(command(&environment).spawn()?).await?;
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains("refused"), "{}", said(&output));
    assert!(!said(&output).contains("canary-password"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_exist_ends_the_start() -> anyhow::Result<()> {
    let world = World::on_servers().await?;
    let mut environment = world.environment();
    for (name, value) in &mut environment {
        if *name == "COUNTERFOIL_DATABASE__URL" {
            let (server, _) = value.rsplit_once('/').context("a URL with a database")?;
            *value = format!("{server}/nowhere");
        }
    }
    let output = end_of(command(&environment).spawn()?).await?;
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains("nowhere"), "{}", said(&output));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_configured_is_named_all_at_once() -> anyhow::Result<()> {
    let production = [("COUNTERFOIL_PROFILE", "production".to_owned())];
    let output = end_of(command(&production).spawn()?).await?;
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    for field in ["broker.url", "database.url", "database.id_secret"] {
        assert!(said(&output).contains(field), "{}", said(&output));
    }
    Ok(())
}

mod own_nodes {
    use super::*;
    use counterfoil_testkit::{Database, PostgresNode};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_second_signal_ends_it_while_it_waits_for_the_database() -> anyhow::Result<()> {
        let mut server = PostgresNode::start().await?;
        let database = Database::of(&server).await?;
        let world = World::on_servers_with(database).await?;
        let child = command(&world.environment()).spawn()?;
        world
            .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
            .await?;
        world.row_in("t1", TaskState::Pending).await?;
        server.stop_immediate().await?;
        for n in 2..10 {
            let message = task(&format!("t{n}"), "demo.add");
            world
                .publish(&world.names.tasks, "demo.add", message)
                .await?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        terminate(&child)?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        terminate(&child)?;
        let output = end_of(child).await?;
        assert_eq!(output.status.code(), Some(130), "{}", said(&output));
        Ok(())
    }
}
