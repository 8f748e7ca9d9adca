//! The handlers, run by a real worker over a broker in memory: nothing to install, nothing to wait for.

use anyhow::Result;
use counterfoil_toolbox::config::{BrokerSettings, Config, LoadOptions, Role, WorkerSettings};
use counterfoil_toolbox::topology::{self, QueueSettings, ServiceSettings};
use counterfoil_toolbox::transport::Transport;
use counterfoil_toolbox::transport::memory::MemoryBroker;
use counterfoil_toolbox::{Producer, ServiceName};
use counterfoil_worker::{Exit, Worker};
use counterfoil_worker_template::handlers::{Archive, register};
use counterfoil_worker_template::tasks::{Line, TotalInvoice, WriteInvoice};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `test` beside a worker, which afterwards must drain.
async fn with_worker(test: impl AsyncFnOnce(&Producer, &TempDir) -> Result<()>) -> Result<()> {
    let transport: Arc<dyn Transport> = Arc::new(MemoryBroker::new());
    let names = BrokerSettings::default().names()?;
    let mut items = topology::platform(&names, QueueSettings::default());
    let service = ServiceName::new("invoice")?;
    items.extend(topology::service(
        &names,
        &service,
        &ServiceSettings::default(),
    ));
    topology::apply(&*transport, items).await?;

    let folder = tempfile::tempdir()?;
    let archive = Archive(folder.path().join("archive"));
    let builder = Worker::builder(transport.clone(), names.clone(), WorkerSettings::default());
    let worker = register(builder, archive).build()?;
    let stopper = worker.stopper();
    let worker = tokio::spawn(worker.run_until(std::future::pending()));

    let producer = Producer::listening(transport, names, "test").await?;
    test(&producer, &folder).await?;
    stopper.drain();
    assert_eq!(worker.await?, Exit::Drained);
    Ok(())
}

fn lines() -> Vec<Line> {
    let line = |text: &str, quantity, cents| Line {
        text: text.to_owned(),
        quantity,
        cents,
    };
    vec![line("Bolt", 100, 12), line("Nut", 100, 7)]
}

#[tokio::test]
async fn the_total_is_the_sum_of_all_lines() -> Result<()> {
    with_worker(async |producer, _| {
        let mut sent = producer.send(TotalInvoice { lines: lines() }).await?;
        assert_eq!(sent.result(PATIENCE).await?, 1900);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_invoice_is_written_into_the_archive() -> Result<()> {
    with_worker(async |producer, folder| {
        let invoice = WriteInvoice {
            number: "2026-17".to_owned(),
            lines: lines(),
            remark: Some("Thank you".to_owned()),
        };
        let mut sent = producer.send(invoice).await?;
        let path = folder.path().join("archive/2026-17.txt");
        assert_eq!(sent.result(PATIENCE).await?, path.display().to_string());
        let text = std::fs::read_to_string(path)?;
        assert!(text.contains("Total 19.00"), "{text}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_invoice_that_makes_no_sense_fails_and_says_why() -> Result<()> {
    with_worker(async |producer, _| {
        let invoice = WriteInvoice {
            number: "../17".to_owned(),
            lines: lines(),
            remark: None,
        };
        let failed = producer.send(invoice).await?.result(PATIENCE).await;
        let failed = failed.expect_err("it must not be written").to_string();
        let why = "\"../17\" is no number of an invoice";
        assert!(failed.ends_with(why), "{failed}");
        let mut sent = producer.send(TotalInvoice { lines: vec![] }).await?;
        assert!(sent.result(PATIENCE).await.is_err());
        Ok(())
    })
    .await
}

#[test]
fn the_settings_of_the_example_are_all_known() -> Result<()> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/counterfoil.toml");
    let options = LoadOptions::new(Role::Worker).file(Some(file.into()));
    let config = Config::load(options)?;
    assert_eq!(config.worker.concurrency, 64);
    Ok(())
}

#[test]
fn an_argument_is_a_question_to_answer_and_starts_nothing() -> Result<()> {
    let program = env!("CARGO_BIN_EXE_counterfoil-worker-template");
    let ended = std::process::Command::new(program).arg("--help").output()?;
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("It takes no arguments"), "{said}");
    Ok(())
}
