//! What the tests look at.

use crate::program::Program;
use counterfoil_store::record::{ControlRow, TaskRow};
use counterfoil_store::{Batch, ControlFilter, Store, StoreOptions};
use counterfoil_testkit::Database;
use counterfoil_testkit::store_suite::{copy_of, event, lineage};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::message::Envelope;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A database that the binary and the test look at together.
pub(super) struct Site {
    pub(super) program: Program,
    pub(super) store: Arc<dyn Store>,
    _database: Option<Database>,
}

impl Site {
    pub(super) async fn sqlite() -> anyhow::Result<Self> {
        let program = Program::new();
        let url = format!("sqlite://{}", program.folder().join("own.db").display());
        Self::build(program, url, None).await
    }

    pub(super) async fn postgres() -> anyhow::Result<Self> {
        let database = Database::fresh().await?;
        let url = database.url().to_owned();
        Self::build(Program::new(), url, Some(database)).await
    }

    pub(super) async fn build(
        mut program: Program,
        url: String,
        database: Option<Database>,
    ) -> anyhow::Result<Self> {
        // The program does not make a file.
        if let Some(file) = url.strip_prefix("sqlite://") {
            std::fs::write(file, "")?;
        }
        let options = StoreOptions::new(url.clone()).id_secret("development".to_owned());
        let store = counterfoil_store::connect(&options).await?;
        store.migrate().await?;
        program.set("COUNTERFOIL_DATABASE__URL", url);
        program.set("USER", "ana");
        Ok(Self {
            program,
            store,
            _database: database,
        })
    }

    /// Stands in for a daemon: whatever is asked is passed on.
    pub(super) fn daemon(&self) -> Daemon {
        let store = Arc::clone(&self.store);
        Daemon(tokio::spawn(async move {
            loop {
                let rows = store
                    .unpublished_controls(0)
                    .await
                    .expect("the database answers");
                let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
                if let Some(row) = rows.last() {
                    let marked = store.mark_published(&ids, row.created_date).await;
                    marked.expect("the database answers");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }))
    }

    /// A task in this state.
    pub(super) async fn task(&self, id: &str, root: &str, state: TaskState) -> anyhow::Result<()> {
        let mut envelope = Envelope::new(id.parse()?, "demo.add".parse()?);
        envelope.root_id = root.parse()?;
        let mut batch = Batch::new();
        batch.track(&copy_of(envelope));
        if state != TaskState::Pending {
            batch.event(&event(&id.parse()?, lineage(0, 0, 0), state));
        }
        self.store.apply(&batch).await?;
        Ok(())
    }

    pub(super) async fn row(&self, id: &str) -> TaskRow {
        let row = self.store.task(id).await.expect("the database answers");
        row.expect("the task is there")
    }

    pub(super) async fn holding(&self) -> Vec<(String, String)> {
        let rows = self.store.controls(&ControlFilter::default()).await;
        let mut rows: Vec<_> = rows
            .expect("the database answers")
            .into_iter()
            .inspect(|row: &ControlRow| assert_eq!(row.created_by.as_deref(), Some("ana")))
            .map(|row| (row.kind, row.subject))
            .collect();
        rows.sort();
        rows
    }
}

pub(super) struct Daemon(JoinHandle<()>);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.abort();
    }
}
