//! Comparing a topology with a broker, and making the broker match.

use super::{Exchange, Item, Queue};
use crate::message::Headers;
use crate::transport::{Declare, DeclareError, Transport, TransportError};

/// What was found at the broker about one item.
///
/// ```
/// # use counterfoil_toolbox::{ServiceName, config::BrokerSettings, transport::memory::MemoryBroker};
/// use counterfoil_toolbox::topology::{self, QueueKind, ServiceSettings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// # topology::apply(&broker, topology::platform(&names, Default::default())).await?;
/// # let export = ServiceName::new("export")?;
/// # let classic = ServiceSettings { kind: QueueKind::Classic, ..Default::default() };
/// # topology::apply(&broker, topology::service(&names, &export, &classic)).await?;
/// # let items = topology::service(&names, &export, &ServiceSettings::default());
/// for finding in topology::plan(&broker, items).await? {
///     if let Some(remedy) = finding.remedy() {
///         println!("{}: {remedy}", finding.item); // "queue export: empty and delete the queue …"
/// #       assert!(remedy.contains("delete the queue export"), "{remedy}");
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Finding {
    /// What was looked for.
    pub item: Item,
    /// What is there.
    pub state: ItemState,
}

/// State of one item at the broker. [`plan`] has an example.
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
            ItemState::Differs { .. } => Some(replacement(&self.item)),
        }
    }
}

/// How something else comes in place of what is there.
fn replacement(item: &Item) -> String {
    match item {
        Item::Exchange(Exchange { name, .. }) => format!(
            "delete the exchange {name} (`rabbitmqadmin delete exchange name={name}`) and run `counterfoil topology \
             apply`, which binds it again; who sends to it meanwhile is told so"
        ),
        Item::Queue(Queue { name, .. }) => format!(
            "empty and delete the queue {name} (`rabbitmqctl delete_queue --if-empty {name}`) and run `counterfoil \
             topology apply`, or declare it as it is ([broker.queues.<name>] in the configuration, or queue_settings = \
             \"policy\")"
        ),
        Item::Binding(_) => "run `counterfoil topology apply`".to_owned(),
    }
}

/// Looks at every item without changing anything.
///
/// A queue's arguments can only be compared by declaring it, which would create a missing one:
/// so what is present is declared once more, which changes nothing.
///
/// ```
/// # use counterfoil_toolbox::{ServiceName, config::BrokerSettings, transport::memory::MemoryBroker};
/// use counterfoil_toolbox::topology::{self, ItemState, ServiceSettings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// let items = topology::service(&names, &ServiceName::new("export")?, &ServiceSettings::default());
/// let findings = topology::plan(&broker, items).await?;
/// let missing = findings.iter().filter(|finding| finding.state == ItemState::Missing);
/// assert_eq!(missing.count(), 2); // the queue and its dead queue; bindings cannot be asked for
/// # Ok(()) }
/// ```
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
        Ok(ItemState::Differs { difference }) => {
            let kind = kind_differs(transport, item).await?;
            let difference = kind.unwrap_or(difference);
            Ok(ItemState::Differs { difference })
        }
        other => other,
    }
}

/// The broker's words when a queue is of another type. Of all that differs it names one thing only, and the
/// type last: so it is asked for the type alone.
async fn kind_differs(
    transport: &dyn Transport,
    item: &Item,
) -> Result<Option<String>, TransportError> {
    let Item::Queue(queue) = item else {
        return Ok(None);
    };
    let of_that_type = Item::Queue(Queue {
        arguments: Headers::new(),
        ..queue.clone()
    });
    Ok(
        match look(transport, &of_that_type, Declare::Active).await? {
            ItemState::Differs { difference } if difference.contains("x-queue-type") => {
                Some(difference)
            }
            ItemState::Differs { .. }
            | ItemState::Present
            | ItemState::Missing
            | ItemState::Unchecked { .. }
            | ItemState::Unknown
            | ItemState::Applied => None,
        },
    )
}

/// Creates what is missing. Items that differ are reported, not touched, and the rest is applied.
///
/// ```
/// # use counterfoil_toolbox::{ServiceName, config::BrokerSettings, transport::memory::MemoryBroker};
/// use counterfoil_toolbox::topology::{self, QueueSettings, ServiceSettings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// let mut items = topology::platform(&names, QueueSettings::default());
/// let export = ServiceName::new("export")?;
/// items.extend(topology::service(&names, &export, &ServiceSettings::default()));
/// let findings = topology::apply(&broker, items).await?; // safe to repeat
/// assert_eq!(topology::not_applied(&findings), None);
/// # Ok(()) }
/// ```
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

/// The first item that [`apply`] did not apply, and what is there, in words; see the example there.
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
