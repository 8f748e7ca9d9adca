//! Canaries that a command sends, to see whether what is sent and reported comes into the database.

use counterfoil_store::record::CanaryRow;
use counterfoil_store::{Store, StoreError};
use counterfoil_toolbox::doctor::canary;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::ExchangeName;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::{PublishError, Publisher};
use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Longest until the daemon has written what it saw.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How often is looked whether it has: nothing tells.
const POLL: Duration = Duration::from_millis(20);

/// How many canaries are looked through: daemons send some, too.
const LOOK_BACK: u32 = 20;

/// Why a canary was not sent.
#[derive(Debug)]
pub(crate) enum NotSent {
    Database(StoreError),
    Broker {
        exchange: ExchangeName,
        error: PublishError,
    },
}

impl Display for NotSent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => ErrorChain(error).fmt(f),
            Self::Broker { exchange, error } => {
                write!(
                    f,
                    "nothing can be sent to {exchange}: {}",
                    ErrorChain(error)
                )
            }
        }
    }
}

/// Sends one, and says which.
pub(crate) async fn send(
    store: &dyn Store,
    publisher: &Publisher,
    names: &Names,
) -> Result<Uuid, NotSent> {
    let id = Uuid::now_v7();
    store.canary_sent(id).await.map_err(NotSent::Database)?;
    for publication in canary(names, id) {
        let exchange = publication.exchange.clone();
        let sent = publisher.publish(publication).await;
        sent.map_err(|error| NotSent::Broker { exchange, error })?;
    }
    Ok(id)
}

/// Waits until these came through everywhere, or for as long as they may take. What is known of them then.
pub(crate) async fn wait_for(
    store: &dyn Store,
    ids: &HashSet<Uuid>,
) -> Result<Vec<CanaryRow>, StoreError> {
    let began = Instant::now();
    loop {
        let mut rows = store.canaries(LOOK_BACK).await?;
        rows.retain(|row| ids.contains(&row.id));
        let are_through =
            rows.len() == ids.len() && rows.iter().all(|row| row.missing().next().is_none());
        if are_through || began.elapsed() >= PATIENCE {
            return Ok(rows);
        }
        tokio::time::sleep(POLL).await;
    }
}
