//! A demo that people look at in a browser until they have seen enough.

use crate::program::Program;
use anyhow::Context as _;
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long anything may take that takes seconds on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads what it says until the dashboard is all that goes on, and returns where that is.
async fn address(demo: &mut Child) -> anyhow::Result<String> {
    let stderr = demo.stderr.take().context("it says something")?;
    let mut lines = BufReader::new(stderr).lines();
    let reading = async {
        while let Some(line) = lines.next_line().await? {
            if let Some((_, rest)) = line.split_once("stays at http://") {
                let address = rest.split(',').next().context("an address")?;
                return Ok(address.to_owned());
            }
        }
        anyhow::bail!("it ended before")
    };
    tokio::time::timeout(PATIENCE, reading).await?
}

async fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    let (_, body) = answer.split_once("\r\n\r\n").context("a body")?;
    Ok(body.to_owned())
}

#[tokio::test]
async fn a_demo_that_is_served_shows_its_tasks_until_somebody_ends_it() -> anyhow::Result<()> {
    let mut program = Program::new();
    program.set("COUNTERFOIL_DASHBOARD__BIND", "127.0.0.1:0");
    let arguments = ["demo", "--tasks", "30", "--serve"];
    let mut demo = program.command(&arguments).spawn()?;
    let address = address(&mut demo).await?;
    let tasks: Value = serde_json::from_str(&get(&address, "/api/tasks?name=demo.add").await?)?;
    let tasks = tasks["items"].as_array().context("a list")?;
    assert!(
        tasks.iter().any(|task| task["state"] == "SUCCESS"),
        "{tasks:?}"
    );
    assert!(get(&address, "/workers").await?.contains("demo"));
    let pid = demo.id().context("it runs")?.to_string();
    let asked = Command::new("kill").args(["-TERM", &pid]).status().await?;
    assert!(asked.success());
    let ended = tokio::time::timeout(PATIENCE, demo.wait_with_output()).await??;
    assert_eq!(ended.status.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_demo_is_not_served_where_others_could_act_without_a_name() {
    let mut program = Program::new();
    program.set("COUNTERFOIL_DASHBOARD__BIND", "0.0.0.0:0");
    let refused = program.run(&["demo", "--serve"]).await.ends_with(78);
    assert!(
        refused.stderr.contains("nobody has to sign in") && refused.stderr.contains("127.0.0.1"),
        "{refused:?}"
    );
}
