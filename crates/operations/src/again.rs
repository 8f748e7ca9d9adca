//! Sending tasks again as their next run, on the way that leaves no second tracking copy.

use crate::error::OperationError;
use chrono::{DateTime, Utc};
use counterfoil_store::{Seen, Store, StoredMessage, TrackingCopy};
use counterfoil_toolbox::message::{Content, TaskMessage, encode_run, encode_unread};
use counterfoil_toolbox::names::RoutingKey;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{
    Publication, PublishError, Publisher, PublisherOptions, Transport,
};

/// Fails where the database's user may not record what is to be sent again or taken out of a dead queue. Asked before
/// that is begun: what was sent and not recorded would be sent once more by whoever tries again.
pub(crate) async fn may_record(store: &dyn Store) -> Result<(), OperationError> {
    match store.only_asks().await? {
        None => Ok(()),
        Some(user) => Err(OperationError::OnlyAsks { user }),
    }
}

/// A message to be sent again, and the task that it is.
#[derive(Debug)]
pub(crate) struct Anew {
    pub(crate) publication: Publication,
    /// The task as its new run; `None`: the message names none.
    pub(crate) copy: Option<TrackingCopy>,
}

impl Anew {
    /// The task of `content` as its run `run`.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub(crate) fn run(
        names: &Names,
        content: &Content,
        run: i32,
        key: RoutingKey,
        now: DateTime<Utc>,
    ) -> Result<Self, String> {
        let content = encode_run(content, run, now).map_err(|error| error.to_string())?;
        let (envelope, input) = match TaskMessage::decode(&content) {
            Ok(task) => {
                let input = task.payload.to_input();
                (Some(task.envelope), Some(input))
            }
            Err(undecodable) => (undecodable.envelope.map(|envelope| *envelope), None),
        };
        let copy = envelope.map(|envelope| TrackingCopy {
            envelope,
            input,
            message: StoredMessage {
                exchange: names.requeue.as_str().into(),
                routing_key: key.as_str().into(),
                content: content.clone(),
            },
            seen: Seen::Scheduled,
        });
        Ok(Self {
            publication: publication(names, key, content),
            copy,
        })
    }

    /// A message that names no task, as it is.
    pub(crate) fn unread(names: &Names, content: &Content, key: RoutingKey) -> Self {
        Self {
            publication: publication(names, key, encode_unread(content)),
            copy: None,
        }
    }
}

fn publication(names: &Names, routing_key: RoutingKey, content: Content) -> Publication {
    Publication {
        exchange: names.requeue.clone(),
        routing_key,
        content,
    }
}

/// Publishes many at a time. What no service owns is not lost behind that exchange: it becomes
/// UNROUTABLE.
#[derive(Debug)]
pub(crate) struct Sender {
    publisher: Publisher,
    /// What keeps every message from being sent.
    broken: Option<PublishError>,
}

impl Sender {
    pub(crate) fn new(transport: &dyn Transport) -> Self {
        Self {
            publisher: transport.publisher(PublisherOptions::default()),
            broken: None,
        }
    }

    /// Fails once the broker cannot be used any more: what comes then need not be tried.
    ///
    /// # Errors
    /// What the broker said last.
    pub(crate) fn check(&self) -> Result<(), OperationError> {
        match &self.broken {
            None => Ok(()),
            Some(error) => Err(error.clone().into()),
        }
    }

    /// Sends them all, and says for each what came of it, in their order.
    pub(crate) async fn send(
        &mut self,
        publications: Vec<Publication>,
    ) -> Vec<Result<(), PublishError>> {
        let mut under_way = Vec::with_capacity(publications.len());
        for publication in publications {
            under_way.push(self.publisher.enqueue(publication).await);
        }
        let mut sent = Vec::with_capacity(under_way.len());
        for confirm in under_way {
            let outcome = match confirm {
                Ok(confirm) => confirm.await,
                Err(error) => Err(error),
            };
            if let Err(error) = &outcome
                && !is_about_one(error)
            {
                self.broken = Some(error.clone());
            }
            sent.push(outcome);
        }
        sent
    }
}

/// Whether others may be sent all the same.
fn is_about_one(error: &PublishError) -> bool {
    matches!(
        error,
        PublishError::Nacked | PublishError::Invalid { .. } | PublishError::Unroutable { .. }
    )
}
