//! Requests that a program makes up from the document of the API.

use crate::dashboard::{hash, start};
use crate::platform::{PATIENCE, Platform, wait_for_state};
use crate::scale::token;
use anyhow::{Context as _, ensure};
use counterfoil_testkit::{Broker, Database};
use counterfoil_toolbox::TaskState;
use std::process::{Command, Stdio};
use std::time::Duration;

/// That nothing is a server error, and that answers are as the document says.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// How long all of it may take.
const ALL: Duration = Duration::from_secs(1500);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "some minutes, and it needs schemathesis: tests/scale/openapi"]
async fn no_request_that_the_document_allows_ends_in_a_server_error() -> anyhow::Result<()> {
    let program = std::env::var("COUNTERFOIL_TEST_SCHEMATHESIS")
        .context("COUNTERFOIL_TEST_SCHEMATHESIS: run this through tests/scale/openapi")?;
    let vhost = Broker::shared().await?.vhost().await?;
    let database = Database::fresh().await?;
    let mut platform = Platform::init(&vhost.amqp_url(), database.url())?;
    let (_daemon, _worker) = (platform.daemon()?, platform.worker()?);
    let sent = platform.cli(&["send", "demo.add", r#"{"x": 1, "y": 2}"#])?;
    let id = String::from_utf8(sent.stdout)?.trim().to_owned();
    let store = platform.store().await?;
    wait_for_state(&*store, &id, TaskState::Success, PATIENCE).await?;
    let token = token(&mut platform, "admin")?;
    let hash = hash(&platform)?;
    let (_dashboard, url) = start(&mut platform, &hash).await?;
    let mut run = Command::new(program);
    run.args(["run", "--checks", CHECKS])
        // A stream does not end.
        .args(["--exclude-path", "/api/events"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--max-examples", "200", "--seed", "1", "--no-color"])
        .arg(format!("{url}/api/openapi.json"))
        .current_dir(platform.folder())
        .stdin(Stdio::null());
    let run = tokio::process::Command::from(run)
        .kill_on_drop(true)
        .output();
    let said = tokio::time::timeout(ALL, run).await??;
    let text = String::from_utf8_lossy(&said.stdout);
    eprintln!("{text}{}", String::from_utf8_lossy(&said.stderr));
    ensure!(
        said.status.success(),
        "schemathesis found something, see above"
    );
    Ok(())
}
