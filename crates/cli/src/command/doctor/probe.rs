//! `--probe`: messages sent through, and what becomes of them.

use crate::canary::{self, NotSent, PATIENCE};
use crate::failure::Failure;
use counterfoil_store::record::CanaryRow;
use counterfoil_store::{CanaryPlace, Store};
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::doctor::{Check, broker_clock, broker_fault, probe};
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{PublisherOptions, QueueDepth, Transport};
use std::collections::HashSet;
use tokio::time::Instant;

/// Name of the check that the database answers.
const RESULTS: &str = "results";

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
    let publisher = transport.publisher(PublisherOptions::default());
    let id = match canary::send(store, &publisher, names).await {
        Ok(id) => id,
        Err(NotSent::Database(error)) => return Failure::from(error).check(RESULTS),
        Err(error @ NotSent::Broker { .. }) => {
            let remedy = "see what is said of exchanges and permissions above";
            return Check::fail(RESULTS, error.to_string(), remedy);
        }
    };
    let sent = Instant::now();
    let row = match canary::wait_for(store, &HashSet::from([id])).await {
        Ok(mut rows) => rows.pop(),
        Err(error) => return Failure::from(error).check(RESULTS),
    };
    let missing: Vec<_> = row.iter().flat_map(CanaryRow::missing).collect();
    if row.is_some() && missing.is_empty() {
        let took = sent.elapsed().as_millis();
        let what = format!("what was sent and reported was in the database {took} ms later");
        return Check::ok(RESULTS, what);
    }
    lost(&missing)
}

/// The way that a canary takes there.
const fn way(place: CanaryPlace) -> &'static str {
    match place {
        CanaryPlace::Tracking => "the tracking queue",
        CanaryPlace::Unroutable => "the queue of tasks that no service owns",
        CanaryPlace::Events => "the queue of events",
    }
}

fn nobody(names: &Names) -> Check {
    let what = format!(
        "counterfoil-sync does not run: nobody consumes queue {}, and nothing comes into the database",
        names.tracking_queue
    );
    let remedy = "start it: `systemctl start counterfoil-sync`, or `counterfoil-sync` with this configuration";
    Check::fail(RESULTS, what, remedy)
}

fn lost(missing: &[CanaryPlace]) -> Check {
    let seconds = PATIENCE.as_secs();
    if missing.len() == CanaryPlace::ALL.len() {
        return Check::fail(
            RESULTS,
            format!(
                "nothing came into the database within {seconds} s, though the tracking queue is consumed"
            ),
            "see the log of counterfoil-sync: it is far behind, cannot write, or has another database.url than this",
        );
    }
    let ways: Vec<_> = missing.iter().map(|place| way(*place)).collect();
    let places = ways.join(" and ");
    Check::fail(
        RESULTS,
        format!(
            "a message did not come by {places} within {seconds} s: a binding is missing, or another \
             counterfoil-sync took it for another database"
        ),
        "run `counterfoil topology apply`, which sets every binding that is missing; end every counterfoil-sync that has \
         another database.url",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_by_no_way_is_the_daemons_fault_and_by_some_a_missing_binding() {
        let all = CanaryPlace::ALL;
        assert!(
            lost(&all)
                .remedy
                .is_some_and(|it| it.contains("log of counterfoil-sync"))
        );
        let one = lost(&all[..1]);
        assert!(
            one.detail
                .contains("did not come by the tracking queue within"),
            "{one:?}"
        );
        assert!(one.remedy.is_some_and(|it| it.contains("topology apply")));
    }
}
