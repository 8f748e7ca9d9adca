//! Telling extensions what becomes of a task, and sending what they have to say of it before its end is told.

use crate::execute::Execution;
use crate::extension::{Beside, Extension, Message, Step, Subject};
use crate::held::Held;
use crate::publish::{Refused, Sent, until_answered, until_confirmed};
use crate::retry::declare_levels;
use crate::shared::Shared;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::delay::delayed_key;
use counterfoil_toolbox::transport::Publication;
use futures::stream::{self, StreamExt as _};
use std::sync::{Arc, Once};
use tokio::task::JoinSet;

/// Messages about one task that are under way at the same time.
const UNDER_WAY: usize = 50;

/// Those who have something to say.
#[derive(Debug)]
pub(crate) struct Extensions {
    all: Vec<Arc<dyn Extension>>,
    /// That answers are refused is told once.
    refused: Once,
}

/// What became of all that was to be said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    All,
    /// The worker stops.
    GivenUp,
    /// Some of it can never be sent, for this reason.
    Impossible(String),
}

impl Extensions {
    pub(crate) const fn none() -> Self {
        Self {
            all: Vec::new(),
            refused: Once::new(),
        }
    }

    pub(crate) fn push(&mut self, extension: impl Extension) {
        self.all.push(Arc::new(extension));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Starts what they do beside the worker.
    pub(crate) fn start(&self, worker: &Beside) -> JoinSet<()> {
        let beside = self.all.iter().filter_map(|it| it.beside(worker.clone()));
        beside.collect()
    }

    fn messages(&self, subject: &Subject<'_>, step: &Step<'_>) -> Result<Vec<Message>, String> {
        let mut messages = Vec::new();
        for extension in &self.all {
            messages.extend(extension.messages(subject, step)?);
        }
        Ok(messages)
    }
}

impl Shared {
    /// Tells extensions of a step that a task takes.
    pub(crate) fn tell(&self, held: &Held, executions: i32, step: &Step<'_>) {
        if self.extensions.is_empty() {
            return;
        }
        self.tell_of(&Subject::of(held, &self.id, executions, None), step);
    }

    fn tell_of(&self, subject: &Subject<'_>, step: &Step<'_>) {
        for extension in &self.extensions.all {
            extension.heard(subject, step);
        }
    }
}

impl Execution {
    /// Sends what extensions have to say of a step that ends the task, or this execution of it.
    pub(crate) async fn say(&self, step: &Step<'_>) -> Said {
        let (shared, held) = (&*self.shared, &*self.held);
        if shared.extensions.is_empty() {
            return Said::All;
        }
        let subject = Subject::of(held, &shared.id, self.tally.executions, self.ran_for);
        let messages = match shared.extensions.messages(&subject, step) {
            Ok(messages) => messages,
            Err(why) => return Said::Impossible(why),
        };
        let said = Box::pin(self.send(messages)).await;
        if said == Said::All {
            shared.tell_of(&subject, step);
        }
        said
    }

    /// Sends messages, many at a time: they leave in this order.
    async fn send(&self, messages: Vec<Message>) -> Said {
        let sending = stream::iter(messages).map(|message| async {
            match message {
                Message::Task { publication, due } => self.send_task(publication, due).await,
                Message::Answer(publication) => self.answer(publication).await,
            }
        });
        let mut sent = std::pin::pin!(sending.buffered(UNDER_WAY));
        while let Some(sent) = sent.next().await {
            match sent {
                Sent::Confirmed => {}
                Sent::GivenUp => return Said::GivenUp,
                Sent::Impossible(why) => return Said::Impossible(why),
            }
        }
        Said::All
    }

    async fn send_task(&self, mut publication: Publication, due: Option<DateTime<Utc>>) -> Sent {
        let (shared, stop) = (&*self.shared, self.until());
        let wait = due.and_then(|due| (due - Utc::now()).to_std().ok());
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            match delayed_key(wait, &publication.routing_key) {
                Ok(key) => publication.routing_key = key,
                Err(error) => return Sent::Impossible(error.to_string()),
            }
            publication.exchange = shared.names.delay_entry.clone();
            if !declare_levels(shared, stop).await {
                return Sent::GivenUp;
            }
        }
        until_confirmed(
            &shared.senders.copies,
            publication,
            stop,
            "a task that follows",
        )
        .await
    }

    /// Whoever waits for an answer may be gone, and may be nobody's business: no refusal holds up the task.
    async fn answer(&self, publication: Publication) -> Sent {
        let publication = Arc::new(publication);
        let (copies, stop) = (&self.shared.senders.copies, self.until());
        match until_answered(copies, &publication, stop, "an answer").await {
            Ok(Sent::GivenUp) => Sent::GivenUp,
            Ok(Sent::Confirmed) => Sent::Confirmed,
            Ok(Sent::Impossible(reason)) | Err(Refused(reason)) => {
                let (id, name) = (&self.held.envelope.id, &self.held.envelope.name);
                self.shared.extensions.refused.call_once(|| {
                    tracing::error!(task_id = %id, task_name = %name, reason, "the broker does not take answers to those who wait for results; this is said once");
                });
                Sent::Confirmed
            }
        }
    }
}
