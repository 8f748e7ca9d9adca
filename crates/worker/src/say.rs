//! Telling extensions what becomes of a task, and sending what they have to say of it before its end is told.

use crate::answers::Answers;
use crate::execute::{Execution, Retry};
use crate::extension::{Beside, Extension, Message, Replacement, Step, Subject};
use crate::held::Held;
use crate::publish::{Refused, Sent, until_answered, until_confirmed};
use crate::retry::declare_levels;
use crate::shared::Shared;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::delay::delayed_key;
use counterfoil_toolbox::event::{After, FaultKind, TaskFault};
use counterfoil_toolbox::ids::WorkerId;
use counterfoil_toolbox::message::Content;
use counterfoil_toolbox::producer::Observer;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::Publication;
use futures::stream::{self, StreamExt as _};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Messages about one task that are under way at the same time.
const UNDER_WAY: usize = 50;

/// Those who have something to say.
#[derive(Debug)]
pub(crate) struct Extensions {
    all: Vec<Arc<dyn Extension>>,
    answers: Answers,
}

/// Tells extensions of tasks that a worker sends.
#[derive(Debug)]
struct Observing {
    all: Vec<Arc<dyn Extension>>,
    worker: WorkerId,
}

impl Observer for Observing {
    fn sent(&self, task: &Publication) {
        for extension in &self.all {
            extension.sent(&self.worker, task);
        }
    }
}

/// What became of all that was to be said.
#[derive(Debug)]
pub(crate) enum Said {
    /// It is with the broker; this is left to be told with the end of the task.
    All(Option<Box<After>>),
    /// The worker stops.
    GivenUp,
    /// Some of it can never be sent, for this reason.
    Impossible(String),
}

impl Extensions {
    pub(crate) const fn none() -> Self {
        Self {
            all: Vec::new(),
            answers: Answers::none(),
        }
    }

    pub(crate) const fn answers(&self) -> &Answers {
        &self.answers
    }

    pub(crate) fn push(&mut self, extension: impl Extension) {
        self.all.push(Arc::new(extension));
    }

    /// Who tells them of tasks that this worker sends.
    pub(crate) fn observer(&self, worker: &WorkerId) -> Option<Arc<dyn Observer>> {
        let observer = || -> Arc<dyn Observer> {
            Arc::new(Observing {
                all: self.all.clone(),
                worker: worker.clone(),
            })
        };
        (!self.is_empty()).then(observer)
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
        self.tell_of(&Subject::of(self, held, executions, None), step);
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
            return Said::All(None);
        }
        let subject = Subject::of(shared, held, self.tally.executions, self.ran_for);
        let messages = match shared.extensions.messages(&subject, step) {
            Ok(messages) => messages,
            Err(why) => return Said::Impossible(why),
        };
        let said = Box::pin(self.send(messages)).await;
        if matches!(said, Said::All(_)) {
            shared.tell_of(&subject, step);
        }
        said
    }

    /// Sends what goes on in its place. To the platform this is a retry, which comes when those are done that come
    /// before it.
    pub(crate) async fn go_on_as(&self, replacement: Replacement) {
        let Replacement {
            by,
            messages,
            within,
        } = replacement;
        match self.send(messages).await {
            Said::All(_) => {
                let retry = Retry {
                    counted: false,
                    fault: TaskFault::new(
                        FaultKind::Replaced,
                        format!("{by} goes on in its place"),
                    ),
                    executions: self.tally.executions,
                    arguments: None,
                };
                self.tell_put_off();
                self.finish(self.retry_event(&retry, within));
            }
            Said::GivenUp => self.forget(),
            Said::Impossible(why) => {
                let why = format!("{by} cannot be sent in its place: {why}");
                self.die(TaskFault::new(FaultKind::Exception, why)).await;
            }
        }
    }

    /// Sends messages: many tasks at a time, and an answer when all that stands before it is with the broker.
    async fn send(&self, messages: Vec<Message>) -> Said {
        let (mut tasks, mut after) = (Vec::new(), None);
        for message in messages {
            match message {
                Message::After(told) if told.is_nothing() => {}
                Message::After(told) => after = Some(Box::new(told)),
                Message::Task { publication, due } => tasks.push((publication, due)),
                Message::Platform(content) => match self.tell_platform(content).await {
                    Sent::Confirmed => {}
                    Sent::GivenUp => return Said::GivenUp,
                    Sent::Impossible(why) => return Said::Impossible(why),
                },
                Message::Answer {
                    publication,
                    instead,
                } => {
                    let said = self.send_tasks(std::mem::take(&mut tasks)).await;
                    if !matches!(said, Said::All(_)) {
                        return said;
                    }
                    if self.answer(publication, instead).await == Sent::GivenUp {
                        return Said::GivenUp;
                    }
                }
            }
        }
        match self.send_tasks(tasks).await {
            Said::All(_) => Said::All(after),
            other @ (Said::GivenUp | Said::Impossible(_)) => other,
        }
    }

    async fn send_tasks(&self, tasks: Vec<(Publication, Option<DateTime<Utc>>)>) -> Said {
        let sending =
            stream::iter(tasks).map(|(publication, due)| self.send_task(publication, due));
        let mut sent = std::pin::pin!(sending.buffered(UNDER_WAY));
        while let Some(sent) = sent.next().await {
            match sent {
                Sent::Confirmed => {}
                Sent::GivenUp => return Said::GivenUp,
                Sent::Impossible(why) => return Said::Impossible(why),
            }
        }
        Said::All(None)
    }

    async fn send_task(&self, publication: Publication, due: Option<DateTime<Utc>>) -> Sent {
        let publication = match self.in_time(publication, due).await {
            Ok(publication) => Arc::new(publication),
            Err(sent) => return sent,
        };
        let (shared, stop) = (&*self.shared, self.until());
        let (copies, what) = (&shared.senders.copies, "a task that follows");
        let is_known =
            [&shared.names.tasks, &shared.names.delay_entry].contains(&&publication.exchange);
        let sent = if is_known {
            until_confirmed(copies, Arc::clone(&publication), stop, what).await
        } else {
            // Whoever named another exchange may have mistyped it: nobody will mend that.
            let sent = until_answered(copies, &publication, stop, what).await;
            sent.unwrap_or_else(|Refused(reason)| Sent::Impossible(reason))
        };
        if let (Sent::Confirmed, Some(observer)) = (&sent, &shared.senders.observer) {
            observer.sent(&publication);
        }
        sent
    }

    /// The task with the address where it waits until it is due. The levels do not lead to other exchanges than that of
    /// tasks: who gets it there before its time sees to that.
    ///
    /// # Errors
    /// What becomes of one that cannot be delayed.
    async fn in_time(
        &self,
        mut publication: Publication,
        due: Option<DateTime<Utc>>,
    ) -> Result<Publication, Sent> {
        let (shared, stop) = (&*self.shared, self.until());
        let wait = due.and_then(|due| (due - Utc::now()).to_std().ok());
        let wait =
            wait.filter(|wait| !wait.is_zero() && publication.exchange == shared.names.tasks);
        if let Some(wait) = wait {
            publication.routing_key = delayed_key(wait, &publication.routing_key)
                .map_err(|error| Sent::Impossible(error.to_string()))?;
            publication.exchange = shared.names.delay_entry.clone();
            if !declare_levels(shared, stop).await {
                return Err(Sent::GivenUp);
            }
        }
        Ok(publication)
    }

    /// Sends something that the daemon reads.
    async fn tell_platform(&self, content: Content) -> Sent {
        let (shared, stop) = (&*self.shared, self.until());
        let publication = Publication {
            exchange: shared.names.events.clone(),
            routing_key: event_key(&self.held.service),
            content,
        };
        let what = "what the platform is told of a task";
        until_confirmed(&shared.senders.mandatory, publication, stop, what).await
    }
}
