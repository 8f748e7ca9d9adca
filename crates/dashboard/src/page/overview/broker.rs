//! How full queues are, asked once in a while for everybody who looks at the overview.

use crate::app::App;
use crate::page::queues::lines;
use counterfoil_operations::queues::QueueLine;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How old an answer may be: overviews look again each second while tasks change, and each look asks of every queue.
const FRESH: Duration = Duration::from_secs(5);

/// What the broker last told.
#[derive(Debug, Default)]
pub(crate) struct Depths(Mutex<Option<(Instant, Told)>>);

/// All queues, or why they are not known.
pub(super) type Told = Result<Arc<[QueueLine]>, Arc<str>>;

impl Depths {
    /// What the broker tells, at most 5 s old. One asks, and the others wait for the answer: it has a deadline. That
    /// there is none is kept as long.
    ///
    /// # Cancel safety
    /// Dropped while it asks, the next one does.
    pub(super) async fn lines(&self, app: &App) -> Told {
        let mut last = self.0.lock().await;
        if let Some((at, told)) = &*last
            && at.elapsed() < FRESH
        {
            return told.clone();
        }
        let told = match lines(app).await {
            Ok(lines) => Ok(lines.into()),
            Err(error) => Err(error.to_string().into()),
        };
        *last = Some((Instant::now(), told.clone()));
        told
    }
}
