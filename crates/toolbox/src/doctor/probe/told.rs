//! What a probe found, in words, and what to do about it.

use super::tap::Busy;
use super::{Check, NAME, Sending};
use crate::delay::without_delay;
use crate::error::ErrorChain;
use crate::names::QueueName;
use crate::topology::{Binding, Destination};
use crate::transport::{PublishError, TransportError};

const APPLY: &str = "run `counterfoil topology apply`, which sets every binding that is missing";

pub(super) fn missing(queue: &QueueName, sending: &Sending) -> Check {
    let Sending { exchange, key, .. } = sending;
    let key = without_delay(key);
    let what = format!(
        "a message to exchange {exchange} with the key {key:?} did not reach queue {queue}: a binding is missing",
        key = key.as_str()
    );
    Check::fail(NAME, what, APPLY)
}

pub(super) fn untracked(queue: &QueueName, lost: usize, of: usize) -> Check {
    let what = format!(
        "{lost} of {of} messages to services left no copy in queue {queue}: the database would not know of such tasks"
    );
    Check::fail(NAME, what, APPLY)
}

pub(super) fn repeated(queue: &QueueName, times: u32) -> Check {
    let what = format!("queue {queue} got the same message {times} times: its tasks run as often");
    Check::fail(
        NAME,
        what,
        "look for what sends messages on beside the bindings of `counterfoil topology plan`, such as a shovel: \
         `rabbitmqctl list_bindings`, `rabbitmqctl shovel_status`",
    )
}

/// A binding that is none of ours and wider than they are.
pub(super) fn wide(binding: &Binding) -> Check {
    let (key, source) = (binding.key.as_str(), &binding.source);
    let word = key.trim_matches(['#', '.']);
    let (what, kind, to) = match &binding.destination {
        Destination::Queue(queue) => (
            format!(
                "queue {queue} also gets tasks of other services whose names have the word {word:?}, and those that no service \
                 owns: it is bound to exchange {source} by {key:?}, as workers of Celery bind it"
            ),
            "queue",
            queue.as_str(),
        ),
        Destination::Exchange(exchange) => (
            format!(
                "each delayed task of {word} is tracked a second time when it is due: exchange {exchange} is bound to exchange \
                 {source} by {key:?}, as workers of Celery bind it"
            ),
            "exchange",
            exchange.as_str(),
        ),
    };
    let properties = key.replace('#', "%23");
    let remedy = format!(
        "give the Python worker the settings of deploy/python/counterfoil.py and start it anew, then remove the binding: \
         `rabbitmqadmin delete binding source={source} destination_type={kind} destination={to} \
         properties_key={properties}`"
    );
    Check::warn(NAME, what, &remedy)
}

pub(super) fn not_sent(sending: &Sending, error: &PublishError) -> Check {
    let remedy = match error {
        PublishError::Refused { reason, .. } if reason.contains("NOT_FOUND") => APPLY,
        PublishError::Refused { .. } => {
            "let the user publish there: see \"permissions\" above, and `rabbitmqctl set_permissions`"
        }
        PublishError::Nacked => "see `counterfoil queues`, which is full, and start its consumers",
        PublishError::Blocked { .. } => {
            "make room on the broker's disk or in its memory: `rabbitmqctl status` names the alarm"
        }
        PublishError::Unroutable { .. }
        | PublishError::ConfirmTimeout { .. }
        | PublishError::NotSent { .. }
        | PublishError::Withdrawn
        | PublishError::Disconnected
        | PublishError::Invalid { .. }
        | PublishError::Closed => "see the broker's log, and run it again",
    };
    let what = format!(
        "no message can be sent to exchange {}: {}",
        sending.exchange,
        ErrorChain(error)
    );
    Check::fail(NAME, what, remedy)
}

pub(super) fn not_probed(queue: &QueueName, busy: Busy) -> Check {
    let why = match busy {
        Busy::Backlog(1) => "a message waits in it".to_owned(),
        Busy::Backlog(waiting) => format!("{waiting} messages wait in it"),
        Busy::Traffic => "messages come all the time".to_owned(),
    };
    Check::warn(
        NAME,
        format!("queue {queue} was left alone: {why}"),
        "run it again when the queue is at rest; that its tasks are run shows that messages reach it",
    )
}

/// The tracking queue of a busy platform is never at rest.
pub(super) fn not_counted(queue: &QueueName, busy: Busy) -> Check {
    let what = format!("copies in queue {queue} were not counted: it is in use");
    match busy {
        Busy::Traffic => Check::ok(NAME, what),
        Busy::Backlog(waiting) => Check::warn(
            NAME,
            format!("{what}, and {waiting} messages wait in it"),
            "see whether counterfoil-sync runs and keeps up; then run it again",
        ),
    }
}

pub(super) fn fault(queue: &QueueName, error: &TransportError) -> Check {
    let remedy = match error {
        TransportError::NoQueue { .. } => "run `counterfoil topology apply`",
        TransportError::Refused { .. } => {
            "let the user read it: see \"permissions\" above, and `rabbitmqctl set_permissions`"
        }
        TransportError::Unreachable { .. }
        | TransportError::Timeout { .. }
        | TransportError::Closed => "run it again",
    };
    let what = format!("queue {queue} cannot be looked at: {}", ErrorChain(error));
    Check::fail(NAME, what, remedy)
}
