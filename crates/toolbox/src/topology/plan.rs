//! Comparing a topology with a broker, and making the broker match.

use super::Item;
use crate::transport::{Declare, DeclareError, Transport, TransportError};

/// What was found at the broker about one item.
#[derive(Debug)]
pub struct Finding {
    /// What was looked for.
    pub item: Item,
    /// What is there.
    pub state: ItemState,
}

/// State of one item at the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemState {
    /// It is there.
    Present,
    /// It is not there; applying creates it.
    Missing,
    /// It is there with another type or other arguments; somebody has to delete or change it.
    Differs {
        /// The broker's own words.
        difference: String,
    },
    /// It is there, but this user may not compare it with what is declared.
    Unchecked {
        /// The broker's own words.
        reason: String,
    },
    /// AMQP cannot ask for bindings; applying sets them, and setting one twice does nothing.
    Unknown,
    /// It was created just now, or confirmed to be as declared.
    Applied,
}

impl Finding {
    /// What to do about it, when something has to be done by hand.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match &self.state {
            ItemState::Present | ItemState::Applied | ItemState::Unknown => None,
            ItemState::Unchecked { .. } => Some(
                "ask with a user that may configure it, to learn whether it is as declared"
                    .to_owned(),
            ),
            ItemState::Missing => Some("run `counterfoil topology apply`".to_owned()),
            ItemState::Differs { .. } => Some(format!(
                "empty and delete the {} and run `counterfoil topology apply`, or declare it as it is \
                 ([broker.queues.<name>] in the configuration, or queue_settings = \"policy\")",
                self.item
            )),
        }
    }
}

/// Looks at every item without changing anything.
///
/// A queue's arguments can only be compared by declaring it, which would create a missing one:
/// so what is present is declared once more, which changes nothing.
///
/// # Errors
/// [`TransportError`] when the broker cannot be asked.
pub async fn plan(
    transport: &dyn Transport,
    items: Vec<Item>,
) -> Result<Vec<Finding>, TransportError> {
    let mut findings = Vec::with_capacity(items.len());
    for item in items {
        let state = match &item {
            Item::Binding(_) => ItemState::Unknown,
            Item::Exchange(_) | Item::Queue(_) => {
                let found = look(transport, &item, Declare::Passive).await?;
                if found == ItemState::Applied {
                    compare(transport, &item).await?
                } else {
                    found
                }
            }
        };
        findings.push(Finding { item, state });
    }
    Ok(findings)
}

/// Compares what is there with what is declared, by declaring it once more.
async fn compare(transport: &dyn Transport, item: &Item) -> Result<ItemState, TransportError> {
    match look(transport, item, Declare::Active).await {
        Ok(ItemState::Applied) => Ok(ItemState::Present),
        Err(TransportError::Refused { reason, .. }) => Ok(ItemState::Unchecked { reason }),
        other => other,
    }
}

/// Creates what is missing. Items that differ are reported, not touched, and the rest is applied.
///
/// # Errors
/// [`TransportError`] when the broker cannot be asked.
pub async fn apply(
    transport: &dyn Transport,
    items: Vec<Item>,
) -> Result<Vec<Finding>, TransportError> {
    let mut findings = Vec::with_capacity(items.len());
    for item in items {
        let state = look(transport, &item, Declare::Active).await?;
        findings.push(Finding { item, state });
    }
    Ok(findings)
}

/// The first item that [`apply`] did not apply, and what is there, in words.
#[must_use]
pub fn not_applied(findings: &[Finding]) -> Option<String> {
    let wrong = findings.iter().find(|f| f.state != ItemState::Applied)?;
    Some(format!("{}: {:?}", wrong.item, wrong.state))
}

async fn look(
    transport: &dyn Transport,
    item: &Item,
    how: Declare,
) -> Result<ItemState, TransportError> {
    match transport.declare(item, how).await {
        Ok(()) => Ok(ItemState::Applied),
        Err(DeclareError::Missing { .. }) => Ok(ItemState::Missing),
        Err(
            DeclareError::Differs { difference, .. }
            | DeclareError::Invalid {
                reason: difference, ..
            },
        ) => Ok(ItemState::Differs { difference }),
        Err(DeclareError::Transport(error)) => Err(error),
    }
}
