//! Every form of a message runs, or is kept in the dead queue with what its sender has to change.

use super::{python, result_of};
use crate::platform::{PATIENCE, Platform, wait_for_state};
use anyhow::{Context as _, ensure};
use counterfoil_store::DeadFilter;
use counterfoil_testkit::{Broker, Database, eventually};
use counterfoil_toolbox::TaskState;
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test]
async fn every_form_of_a_message_runs_or_is_refused_with_the_remedy() -> anyhow::Result<()> {
    let (vhost, database) = (
        Broker::shared().await?.vhost().await?,
        Database::fresh().await?,
    );
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let store = platform.store().await?;
    let (daemon, worker) = (platform.daemon()?, platform.worker()?);
    let sent = python(&vhost.amqp_url())?.arg("forms.py").output()?;
    let said = String::from_utf8_lossy(&sent.stderr);
    ensure!(sent.status.success(), "{said}");
    let ids: BTreeMap<String, String> = serde_json::from_slice(&sent.stdout)?;

    for form in ["protocol 1", "protocol 1, delayed", "gzip", "bzip2"] {
        let ended = wait_for_state(&*store, &ids[form], TaskState::Success, PATIENCE).await;
        ended.with_context(|| format!("{form}\n{}", worker.log_tail()))?;
        assert_eq!(result_of(&*store, &ids[form]).await?, json!(5), "{form}");
    }
    for (form, names, remedy) in [
        ("lzma", "application/x-lzma", "task_compression = \"gzip\""),
        (
            "pickle",
            "application/x-python-serialize",
            "task_serializer = \"json\"",
        ),
    ] {
        let row = wait_for_state(&*store, &ids[form], TaskState::Failure, PATIENCE).await?;
        assert_eq!(row.error_kind.as_deref(), Some("undecodable"), "{form}");
        let message = row.error_message.as_deref().unwrap_or_default();
        ensure!(
            message.contains(names) && message.ends_with(remedy),
            "{form}: {message}"
        );
    }
    // Whose task that is, only its body would tell; so it has no row, but it is not lost.
    let dead = eventually("all that is refused to be kept", PATIENCE, async || {
        let dead = store.dead(&DeadFilter::default()).await?;
        Ok((vhost.depth("demo.dead").await?.ready == 3).then_some(dead))
    });
    let dead = dead.await?;
    ensure!(
        store.task(&ids["pickle, protocol 1"]).await?.is_none(),
        "{dead:?}"
    );
    assert_eq!(worker.terminate().await?, 0);
    assert_eq!(daemon.terminate().await?, 0);
    store.close().await;
    database.close().await?;
    vhost.close().await
}
