//! `/healthz` and `/readyz`.

use crate::support::{FaultyStore, SOON, World, task};
use anyhow::Context;
use counterfoil_store::Store;
use counterfoil_testkit::eventually;
use counterfoil_toolbox::TaskState;
use serde_json::Value;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn get(address: &str, path: &str) -> anyhow::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    Ok((status, serde_json::from_str(body)?))
}

/// An address that was free a moment ago.
async fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")
        .await?
        .local_addr()?
        .to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readyz_is_200_while_everything_works_and_503_with_the_reason_when_not()
-> anyhow::Result<()> {
    let mut world = World::in_memory().await?;
    let address = free_address().await?;
    world.settings.health_bind = Some(address.clone());
    let store = FaultyStore::new(&world.store);
    let daemon = world.daemon_with(Arc::clone(&store) as Arc<dyn Store>);
    daemon.ready().await?;
    world
        .publish(&world.names.tasks, "demo.add", task("t1", "demo.add"))
        .await?;
    world.row_in("t1", TaskState::Pending).await?;
    let report = eventually("the commit to show", SOON, async || {
        let (status, report) = get(&address, "/readyz").await?;
        Ok((status == 200 && !report["last_commit"].is_null()).then_some(report))
    })
    .await?;
    assert_eq!(report["broker"]["tracking"]["status"], "consuming");
    assert_eq!(report["database"]["reachable"], true);

    store.fail_next(usize::MAX);
    world
        .publish(&world.names.tasks, "demo.add", task("t2", "demo.add"))
        .await?;
    let report = eventually("the trouble to show", SOON, async || {
        let (status, report) = get(&address, "/readyz").await?;
        Ok((status == 503).then_some(report))
    })
    .await?;
    let problems = report["problems"].as_array().context("problems")?;
    let of_database = |problem: &Value| problem.as_str()?.strip_prefix("database: ").map(drop);
    assert!(
        problems
            .iter()
            .any(|problem| of_database(problem).is_some()),
        "{problems:?}"
    );
    // A restart would not mend it.
    assert_eq!(get(&address, "/healthz").await?.0, 200);
    store.fail_next(0);
    daemon.ready().await?;
    Ok(daemon.stop().await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_ends_the_start() -> anyhow::Result<()> {
    let mut world = World::in_memory().await?;
    let taken = TcpListener::bind("127.0.0.1:0").await?;
    world.settings.health_bind = Some(taken.local_addr()?.to_string());
    let error = world
        .daemon()
        .ended()
        .await
        .expect_err("the address is taken");
    assert!(
        error
            .to_string()
            .starts_with("health checks cannot be served at 127.0.0.1:")
    );
    Ok(())
}
