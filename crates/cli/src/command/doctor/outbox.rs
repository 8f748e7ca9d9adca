//! Whether what transactions have put into the outbox is sent.

use counterfoil_store::{OutboxMessage, OutboxState, RefusedMessage, Store, StoreError};
use counterfoil_toolbox::doctor::Check;
use counterfoil_toolbox::names::{ExchangeName, RoutingKey};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::amqp::{AmqpTransport, Rehearsed};
use std::time::Duration;

/// Seconds that a message may be due: what is due is sent at once.
const LATE: f64 = 2.0;

/// After so long the oldest of many that are being sent is another one.
const AGAIN: Duration = Duration::from_millis(1500);

/// Messages that are named.
const NAMED: u32 = 5;

/// A message that is due and is not being sent.
struct Stuck {
    message: OutboxMessage,
    /// What the broker says to it, if it says something.
    refusal: Option<Refusal>,
}

/// Why the broker does not take a message.
enum Refusal {
    Missing(ExchangeName),
    Forbidden(String),
}

pub(super) async fn look(
    store: &dyn Store,
    broker: Option<(&AmqpTransport, &Names)>,
) -> Result<Vec<Check>, StoreError> {
    let state = store.outbox_state().await?;
    let mut checks = vec![match stuck(store, &state, broker).await? {
        None => Check::ok(
            "outbox",
            format!(
                "{} messages are being sent, {} are due later",
                state.waiting, state.later
            ),
        ),
        Some(stuck) => waiting(&state, &stuck),
    }];
    if state.refused > 0 {
        let named = store.refused_messages(None, NAMED).await?;
        checks.push(refused(&state, &named));
    }
    Ok(checks)
}

/// The oldest message that is due, if it is still there at a second look.
async fn stuck(
    store: &dyn Store,
    state: &OutboxState,
    broker: Option<(&AmqpTransport, &Names)>,
) -> Result<Option<Stuck>, StoreError> {
    if state.oldest_s.is_none_or(|oldest| oldest < LATE) {
        return Ok(None);
    }
    let oldest = async || Ok::<_, StoreError>(store.due_messages(&[], 1, 1).await?.pop());
    let Some(message) = oldest().await? else {
        return Ok(None);
    };
    tokio::time::sleep(AGAIN).await;
    let again = oldest().await?.map(|again| again.position);
    if again != Some(message.position) {
        return Ok(None);
    }
    let refusal = match broker {
        Some((transport, names)) => refusal(transport, names, &message).await,
        None => None,
    };
    Ok(Some(Stuck { message, refusal }))
}

/// Asks the broker what it would say.
async fn refusal(
    transport: &AmqpTransport,
    names: &Names,
    message: &OutboxMessage,
) -> Option<Refusal> {
    let exchange = match &*message.message.exchange {
        "" => names.tasks.clone(),
        exchange => ExchangeName::new(exchange).ok()?,
    };
    let key = RoutingKey::new(&message.message.routing_key).ok()?;
    // A broker that does not answer is told elsewhere.
    match transport.may_publish(&exchange, &key).await.ok()? {
        Rehearsed::Allowed => None,
        Rehearsed::Missing => Some(Refusal::Missing(exchange)),
        Rehearsed::Refused { reason } => Some(Refusal::Forbidden(reason)),
    }
}

fn waiting(state: &OutboxState, stuck: &Stuck) -> Check {
    let (why, remedy) = match &stuck.refusal {
        Some(Refusal::Missing(exchange)) => (
            format!(": there is no exchange {exchange}"),
            "run `counterfoil topology apply`; then they are sent by themselves",
        ),
        Some(Refusal::Forbidden(reason)) => (
            format!(": {reason}"),
            "let the daemon's user publish there: `rabbitmqctl set_permissions`; then they are sent by themselves",
        ),
        None => (
            String::new(),
            "start counterfoil-sync, or see in its log which queue or exchange takes nothing",
        ),
    };
    let what = format!(
        "{} messages are due and not sent, the oldest, for queue {}, for {:.0} s{why}",
        state.waiting,
        stuck.message.queue,
        state.oldest_s.unwrap_or_default()
    );
    Check::warn("outbox", what, remedy)
}

fn refused(state: &OutboxState, named: &[RefusedMessage]) -> Check {
    let named: Vec<_> = named
        .iter()
        .map(|message| format!("{}: {}", message.key, message.refusal))
        .collect();
    let more = match usize::try_from(state.refused).unwrap_or(0) > named.len() {
        true => "; and more",
        false => "",
    };
    Check::warn(
        "outbox",
        format!(
            "{} can never be sent: {}{more}",
            state.refused,
            named.join("; ")
        ),
        "see `counterfoil outbox list`; mend what they are refused for and run `counterfoil outbox retry`, or `outbox discard`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_be_sent_is_named_and_whether_there_is_more() {
        let state = OutboxState {
            refused: 2,
            ..OutboxState::default()
        };
        let named = RefusedMessage {
            position: 1,
            task_id: None,
            bytes: 7,
            created_date: chrono::DateTime::UNIX_EPOCH,
            key: "task:1".to_owned(),
            routing_key: "demo.a".to_owned(),
            refusal: "too large".to_owned(),
        };
        let detail = refused(&state, &[named]).detail;
        assert_eq!(detail, "2 can never be sent: task:1: too large; and more");
    }
}
