//! Remote control: what `celery inspect` and `celery control` ask of a worker, and what Flower shows of it.
//!
//! `request` is what comes, `panel` the commands by their names, `answer` what they come to. `tasks`, `scheduled`,
//! `facts`, `queues` tell of the worker; `revoking`, `limits` and `queues` change it. `arguments` and `python` are how Python's programs
//! speak.
//!
//! Whoever may write to the exchange `celery.pidbox` can do all that, end the worker included: so it is in Celery, whose
//! nodes trust each other. See [`Celery::without_remote_control`](crate::Celery::without_remote_control).

mod answer;
mod arguments;
mod facts;
mod limits;
mod panel;
mod process;
mod python;
mod queues;
mod reply;
mod request;
mod revoking;
mod scheduled;
mod tasks;

pub(crate) use facts::Facts;
pub(crate) use scheduled::Scheduled;

use crate::node::Node;
use answer::told;
use arguments::Arguments;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::backoff::Backoff;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::{ExchangeName, QueueName};
use counterfoil_toolbox::revoked::Revoked;
use counterfoil_toolbox::topology::names::event_key;
use counterfoil_toolbox::transport::link::{Arrival, Frame, Link, Settlement};
use counterfoil_toolbox::transport::{Mailbox, Publication, TransportError};
use counterfoil_worker::extension::Beside;
use panel::{Done, Panel};
use reply::Replies;
use request::Request;
use serde_json::Value;
use std::future::poll_fn;
use std::time::Duration;

/// What everybody is asked by, and what answers go to.
const ASKED: &str = "celery.pidbox";
const ANSWERED: &str = "reply.celery.pidbox";

/// Longest pause between two tries to reach the broker.
const RECONNECT_CAP: Duration = Duration::from_secs(5);

/// Longest reason in the log, in bytes.
const MAX_REASON: usize = 200;

/// Does what nodes of Celery ask until the worker is over. A worker that may not have a mailbox works without.
pub(crate) async fn serve(worker: Beside, node: Node, facts: Facts, scheduled: Scheduled) {
    let name = node.name(&worker.worker).to_owned();
    let exchange = ExchangeName::new(ASKED).expect("it is a name");
    let queue = match QueueName::new(&format!("{name}.{ASKED}")) {
        Ok(queue) => queue,
        Err(error) => {
            let reason = error.to_string();
            tracing::warn!(
                worker = name,
                reason,
                "no queue can have the node's name: it works without remote control"
            );
            return;
        }
    };
    let control = Control {
        panel: Panel {
            inside: worker.inside.clone(),
            node,
            name,
            facts,
            scheduled,
        },
        replies: Replies::new(&*worker.transport),
        reports: Replies::that_arrive(&*worker.transport),
        worker: worker.clone(),
    };
    let mailbox = Mailbox::new(exchange, queue);
    tokio::select! {
        biased;
        () = worker.over() => {}
        () = control.listen(&mailbox) => {}
    }
}

/// A worker's side of remote control.
struct Control {
    panel: Panel,
    replies: Replies,
    /// What the platform is told, by a channel of its own: what becomes of an answer that is too large is known only where
    /// nothing else is under way.
    reports: Replies,
    worker: Beside,
}

impl Control {
    /// Listens for as long as that is allowed.
    async fn listen(mut self, mailbox: &Mailbox) {
        let (mut tries, mut is_told) = (0, false);
        let queue = &mailbox.queue;
        loop {
            let error = match self.worker.transport.mailbox(mailbox).await {
                Ok(mut link) => {
                    tries = 0;
                    let ended = self.read(&mut *link).await;
                    link.close().await;
                    ended
                }
                Err(error) => error,
            };
            let reason = ErrorChain(&error).to_string();
            if is_for_good(&error) {
                tracing::warn!(%queue, reason, "the broker allows no mailbox: the worker works without remote control");
                return;
            }
            if is_locked(&error) && !is_told {
                is_told = true;
                tracing::warn!(%queue, reason, "another node has this name, or had it a moment ago; remote control begins when it is gone");
            }
            tracing::debug!(%queue, reason, "the mailbox of remote control is opened again");
            let wait = Backoff::reconnect(RECONNECT_CAP).random_wait(tries);
            tries = tries.saturating_add(1);
            tokio::time::sleep(wait).await;
        }
    }

    /// Reads until the channel ends, and tells why it did.
    async fn read(&mut self, link: &mut dyn Link) -> TransportError {
        loop {
            let arrival = tokio::select! {
                arrival = poll_fn(|cx| link.poll_next(cx)) => arrival,
                () = self.replies.look() => continue,
                () = self.reports.look() => continue,
            };
            let arrival = match arrival {
                Ok(arrival) => arrival,
                Err(error) => return error,
            };
            // Before it is done: a command that ends the worker must not come again.
            let settled = link.settle(&[ack(&arrival)]).await;
            self.handle(&arrival).await;
            if let Err(error) = settled {
                return error;
            }
        }
    }

    async fn handle(&mut self, arrival: &Arrival) {
        let (mut request, clock) = match Request::read(&arrival.content) {
            Ok(read) => read,
            Err(reason) => {
                let reason = cut(&reason);
                tracing::debug!(reason, "what came by remote control is no command");
                return;
            }
        };
        let Panel { node, name, .. } = &self.panel;
        node.tick();
        let clock = node.heard_at(clock);
        if !request.is_for(name) {
            return;
        }
        let mut revoked = Vec::new();
        let done = request.take().and_then(|(method, arguments)| {
            tracing::debug!(what = cut(&method), "asked by remote control");
            let arguments = Arguments(arguments);
            let done = self.panel.run(&method, &arguments, clock);
            revoked = self.panel.revoked_by(&method, &arguments);
            done
        });
        self.tell_of(revoked).await;
        match done {
            Ok(Done::Answer(answer)) => self.answer(&request, answer).await,
            Ok(Done::Consume(answer, new)) => {
                self.answer(&request, answer).await;
                let queue = &new.queue;
                match new.ensure(&*self.worker.transport).await {
                    Ok(made) => {
                        self.panel.inside.consume(queue.clone(), made);
                    }
                    Err(reason) => {
                        tracing::error!(%queue, reason, "a queue that the worker was asked to consume is not there");
                    }
                }
            }
            // Whoever asks for it gets no answer from any node.
            Ok(Done::Over) => self.panel.inside.drain(),
            Err(raised) => self.answer(&request, told(Err(raised))).await,
        }
    }

    /// Tells the platform of tasks that were revoked.
    async fn tell_of(&mut self, ids: Vec<TaskId>) {
        if ids.is_empty() {
            return;
        }
        let id = self.worker.worker.as_str();
        let service = id.split_once('@').map_or(id, |(service, _)| service);
        let told = Publication {
            exchange: self.worker.names.events.clone(),
            routing_key: event_key(service),
            content: Revoked { ids }.write(),
        };
        self.reports.send(told, None).await;
    }

    async fn answer(&mut self, request: &Request, answer: Value) {
        let Some(to) = &request.reply_to else {
            return;
        };
        let Panel { node, name, .. } = &self.panel;
        // Nobody shall have this worker write elsewhere, with its rights.
        if to.exchange != ANSWERED {
            let exchange = cut(&to.exchange);
            tracing::debug!(
                exchange,
                "an answer of remote control is asked for elsewhere, and not sent"
            );
            return;
        }
        let clock = node.tick();
        let message = |answer| answer::message(name, answer, to, &request.ticket, clock);
        match message(answer) {
            Ok(publication) => {
                let instead = answer::too_large(&publication).map(message);
                self.replies
                    .send(publication, instead.and_then(Result::ok))
                    .await;
            }
            Err(reason) => tracing::debug!(reason, "an answer of remote control cannot be sent"),
        }
    }
}

fn ack(arrival: &Arrival) -> Frame {
    Frame {
        tag: arrival.tag,
        multiple: false,
        how: Settlement::Ack,
    }
}

/// Whether trying again is of no use before somebody mends something.
fn is_for_good(error: &TransportError) -> bool {
    let is_refused = matches!(error, TransportError::Refused { .. });
    (is_refused && !is_locked(error)) || matches!(error, TransportError::Closed)
}

/// Whether another connection has the mailbox: for good, or until the broker notices that it is gone.
fn is_locked(error: &TransportError) -> bool {
    matches!(error, TransportError::Refused { reason, .. } if reason.contains("RESOURCE_LOCKED"))
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_REASON)]
}

#[cfg(test)]
mod tests;
