//! Whether what transactions have put into the outbox is sent.

use counterfoil_store::{OutboxState, RefusedMessage, Store, StoreError};
use counterfoil_toolbox::doctor::Check;

/// Seconds that a message may be due without anybody having to know.
const LATE: f64 = 60.0;

/// Messages that are named.
const NAMED: u32 = 5;

pub(super) async fn look(store: &dyn Store) -> Result<Vec<Check>, StoreError> {
    let state = store.outbox_state().await?;
    let mut checks = vec![waiting(&state)];
    if state.refused > 0 {
        let named = store.refused_messages(None, NAMED).await?;
        checks.push(refused(&state, &named));
    }
    Ok(checks)
}

fn waiting(state: &OutboxState) -> Check {
    let OutboxState { waiting, later, .. } = state;
    match state.oldest_s {
        Some(oldest) if oldest > LATE => Check::warn(
            "outbox",
            format!("{waiting} messages are due and not sent, the oldest for {oldest:.0} s"),
            "start counterfoil-sync, or see in its log which queue or exchange takes nothing",
        ),
        Some(_) | None => Check::ok(
            "outbox",
            format!("{waiting} messages are being sent, {later} are due later"),
        ),
    }
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
    use counterfoil_toolbox::doctor::Outcome;

    #[test]
    fn what_has_waited_for_a_minute_or_for_ever_is_told() {
        let mut state = OutboxState {
            waiting: 3,
            oldest_s: Some(59.0),
            ..OutboxState::default()
        };
        assert_eq!(waiting(&state).outcome, Outcome::Ok);
        state.oldest_s = Some(61.0);
        let check = waiting(&state);
        assert_eq!(check.outcome, Outcome::Warn);
        assert!(check.detail.contains("3 messages") && check.detail.contains("61 s"));
        state.refused = 2;
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
