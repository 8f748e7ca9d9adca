//! What a user of the database who may only read and ask is told when it would have to record what it sends.

use anyhow::{Context as _, ensure};
use counterfoil_operations::dead::{Deal, Dealing, Fate, Which};
use counterfoil_operations::tasks::{Living, Rerun, act};
use counterfoil_operations::{Doer, Mode, OperationError, Platform};
use counterfoil_store::{Batch, StoreOptions, connect};
use counterfoil_testkit::store_suite::{copy, event, lineage};
use counterfoil_testkit::{Database, PostgresNode};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::BrokerSettings;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::names::{QueueName, RoutingKey, ServiceName};
use counterfoil_toolbox::topology;
use counterfoil_toolbox::transport::memory::MemoryBroker;
use counterfoil_toolbox::transport::{Publication, PublisherOptions, Transport};
use std::process::Command;
use std::sync::Arc;

fn psql(url: &str, file: &str) -> anyhow::Result<()> {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", file]);
    let output = psql.output().context("psql could not be run")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    Ok(())
}

/// The same database for somebody else; the node asks nobody for a password.
fn options(url: &str, role: &str) -> anyhow::Result<StoreOptions> {
    let (scheme, rest) = url.split_once("://").context("a URL")?;
    let (_, place) = rest.split_once('@').context("a user")?;
    Ok(StoreOptions::new(format!("{scheme}://{role}@{place}")).id_secret("only for tests"))
}

async fn depth(transport: &dyn Transport, queue: &QueueName) -> anyhow::Result<u32> {
    Ok(transport.depth(queue).await?.context("a queue")?.ready)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_only_ask_sends_nothing_again_and_is_told_as_whom_to_connect() -> anyhow::Result<()>
{
    // A server of its own, because roles belong to servers.
    let node = PostgresNode::start().await?;
    let database = Database::of(&node).await?;
    let roles = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/postgres/roles.sql"
    );
    psql(database.url(), roles)?;
    let owner = connect(&options(database.url(), "counterfoil_owner")?).await?;
    owner.migrate().await?;
    psql(database.url(), roles)?;
    let demo = ServiceName::new("demo")?;
    let transport = Arc::new(MemoryBroker::new());
    let names = BrokerSettings::default().names()?;
    let mut items = topology::platform(&names, Default::default());
    items.extend(topology::service(&names, &demo, &Default::default()));
    topology::apply(&*transport, items).await?;
    let platform = Platform {
        transport,
        names,
        store: connect(&options(database.url(), "counterfoil_web")?).await?,
    };
    let id = TaskId::new("t1")?;
    let mut batch = Batch::new();
    batch.track(&copy(&id));
    batch.event(&event(&id, lineage(0, 0, 0), TaskState::Failure));
    owner.apply(&batch).await?;
    let mut content = Content::json("[[1, 2], {}, {}]");
    content.headers.push("task", "demo.add");
    content.headers.push("id", "t1");
    content.headers.push("retries", 0);
    let publisher = platform.transport.publisher(PublisherOptions::default());
    let publication = Publication {
        exchange: platform.names.dead.clone(),
        routing_key: RoutingKey::new("demo")?,
        content,
    };
    publisher.publish(publication).await?;

    let doer = Doer::new(Some("ann".to_owned()));
    let mut rerun = Rerun::new(&platform, doer.clone(), Living::Refused);
    let ran = act(&mut rerun, Mode::Do, &*platform.store, &[id], |_| {}).await;
    let deal = |mode| Deal {
        fate: Fate::Redrive,
        mode,
        service: demo.clone(),
        which: Which::default(),
        limit: usize::MAX,
        doer: doer.clone(),
    };
    let dealt = async {
        Dealing::begin(&platform, deal(Mode::Do))
            .await?
            .run(|_| {})
            .await
    };
    for refused in [ran, dealt.await] {
        let refused = refused.err().context("it was sent")?;
        ensure!(
            matches!(&refused, OperationError::OnlyAsks { user } if user == "counterfoil_web"),
            "{refused:?}"
        );
        ensure!(refused.to_string().contains("connect as counterfoil_sync"));
    }
    let queues = (
        platform.names.service_queue(&demo),
        platform.names.dead_queue(&demo),
    );
    ensure!(
        depth(&*platform.transport, &queues.0).await? == 0,
        "it was sent"
    );
    ensure!(
        depth(&*platform.transport, &queues.1).await? == 1,
        "it was taken out"
    );
    // Looking is no deed.
    Dealing::begin(&platform, deal(Mode::DryRun)).await?;
    Ok(())
}
