//! `--probe`: messages sent through, and what becomes of them.

use crate::failure::Failure;
use counterfoil_store::Store;
use counterfoil_store::record::CanaryRow;
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::doctor::{Check, broker_clock, broker_fault, canary, probe};
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{PublisherOptions, QueueDepth, Transport};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Name of the check that the database answers.
const RESULTS: &str = "results";

/// Longest until the daemon has written what it saw.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often is looked whether it has.
const POLL: Duration = Duration::from_millis(20);

/// How many canaries are looked through: daemons send some, too.
const LOOK_BACK: u32 = 20;

pub(super) async fn look(
    config: &Config,
    (transport, names): (&AmqpTransport, &Names),
    store: Option<&dyn Store>,
) -> Vec<Check> {
    let mut checks = probe(transport, &config.broker, &config.broker.services).await;
    checks.push(broker_clock(transport, names).await);
    if let Some(store) = store {
        checks.push(recorded(transport, names, store).await);
    }
    checks
}

/// Whether what is sent and reported comes into the database, as the daemon finds out for itself every minute.
async fn recorded(transport: &AmqpTransport, names: &Names, store: &dyn Store) -> Check {
    match transport.depth(&names.tracking_queue).await {
        Ok(Some(QueueDepth { consumers: 0, .. })) => return nobody(names),
        Ok(Some(_)) => {}
        Ok(None) => {
            let what = format!("there is no queue {} to come by", names.tracking_queue);
            return Check::fail(RESULTS, what, "run `counterfoil topology apply`");
        }
        Err(error) => return broker_fault(&error),
    }
    let id = Uuid::now_v7();
    if let Err(error) = store.canary_sent(id).await {
        return Failure::from(error).check(RESULTS);
    }
    let publisher = transport.publisher(PublisherOptions::default());
    for publication in canary(names, id) {
        let exchange = publication.exchange.clone();
        if let Err(error) = publisher.publish(publication).await {
            let what = format!("nothing can be sent to {exchange}: {}", ErrorChain(&error));
            let remedy = "see what is said of exchanges and permissions above";
            return Check::fail(RESULTS, what, remedy);
        }
    }
    let sent = Instant::now();
    let mut missing = Vec::new();
    while sent.elapsed() < PATIENCE {
        let canaries = match store.canaries(LOOK_BACK).await {
            Ok(canaries) => canaries,
            Err(error) => return Failure::from(error).check(RESULTS),
        };
        let row = canaries.into_iter().find(|row| row.id == id);
        missing = row.as_ref().map(not_seen).unwrap_or_default();
        if row.is_some() && missing.is_empty() {
            let took = sent.elapsed().as_millis();
            let what = format!("what was sent and reported was in the database {took} ms later");
            return Check::ok(RESULTS, what);
        }
        tokio::time::sleep(POLL).await;
    }
    lost(&missing)
}

/// Where the daemon has not seen it yet.
fn not_seen(row: &CanaryRow) -> Vec<&'static str> {
    let places = [
        ("the tracking queue", row.tracked_at),
        ("the queue of tasks that no service owns", row.unroutable_at),
        ("the queue of events", row.event_at),
    ];
    let not_seen = |(place, seen): (&'static str, Option<_>)| seen.is_none().then_some(place);
    places.into_iter().filter_map(not_seen).collect()
}

fn nobody(names: &Names) -> Check {
    let what = format!(
        "counterfoil-sync does not run: nobody consumes queue {}, and nothing comes into the database",
        names.tracking_queue
    );
    let remedy = "start it: `systemctl start counterfoil-sync`, or `counterfoil-sync` with this configuration";
    Check::fail(RESULTS, what, remedy)
}

fn lost(missing: &[&str]) -> Check {
    let seconds = PATIENCE.as_secs();
    if missing.len() == 3 {
        return Check::fail(
            RESULTS,
            format!(
                "nothing came into the database within {seconds} s, though the tracking queue is consumed"
            ),
            "see the log of counterfoil-sync: it is far behind, cannot write, or has another database.url than this",
        );
    }
    let places = missing.join(" and ");
    Check::fail(
        RESULTS,
        format!("a message did not come by {places} within {seconds} s: a binding is missing"),
        "run `counterfoil topology apply`, which sets every binding that is missing",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_by_no_way_is_the_daemons_fault_and_by_some_a_missing_binding() {
        let all = ["a", "b", "c"];
        assert!(
            lost(&all)
                .remedy
                .is_some_and(|it| it.contains("log of counterfoil-sync"))
        );
        let one = lost(&all[..1]);
        assert!(one.detail.contains("did not come by a within"), "{one:?}");
        assert!(one.remedy.is_some_and(|it| it.contains("topology apply")));
    }
}
