//! Declaring the delay levels where they are used, once per process.

use super::{Item, Names, apply, delay_levels, not_applied};
use crate::transport::{Declare, DeclareError, Transport, TransportError};
use tokio::sync::OnceCell;

/// Whether this process has seen to it that the delay levels exist.
///
/// ```
/// # use counterfoil_toolbox::{config::BrokerSettings, transport::{Transport, memory::MemoryBroker}};
/// use counterfoil_toolbox::topology::DelayLevels;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (broker, names) = (MemoryBroker::new(), BrokerSettings::default().names()?);
/// let levels = DelayLevels::default(); // one for the process
/// levels.declare(&broker, &names).await?; // before the first message that is to wait
/// levels.declare(&broker, &names).await?; // asks nobody any more
/// let longest = names.delay_queues().next().expect("there are 28");
/// assert!(broker.depth(&longest).await?.is_some());
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct DelayLevels {
    declared: OnceCell<()>,
}

impl DelayLevels {
    /// Declares the levels, the first time that it is called; it takes about 0.2 s.
    ///
    /// A broker user that may not declare them only looks whether they are there: a task that is
    /// sent towards a missing level would be confirmed, tracked, and gone.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be asked, or a level is missing or different. The
    /// next call tries again.
    ///
    /// # Cancel safety
    /// Cancelled, the next call begins anew.
    pub async fn declare(
        &self,
        transport: &dyn Transport,
        names: &Names,
    ) -> Result<(), TransportError> {
        let declare = async || ensure(transport, delay_levels(names)).await;
        self.declared.get_or_try_init(declare).await.copied()
    }
}

async fn ensure(transport: &dyn Transport, levels: Vec<Item>) -> Result<(), TransportError> {
    match apply(transport, levels.clone()).await {
        Ok(findings) => not_applied(&findings).map_or(Ok(()), |wrong| Err(unusable(wrong))),
        Err(TransportError::Refused { .. }) => look(transport, levels).await,
        Err(error) => Err(error),
    }
}

async fn look(transport: &dyn Transport, levels: Vec<Item>) -> Result<(), TransportError> {
    for level in levels {
        match transport.declare(&level, Declare::Passive).await {
            Ok(()) => {}
            // From RabbitMQ 4.3 looking needs the permission to declare: then nobody can tell.
            Err(DeclareError::Transport(TransportError::Refused { reason, .. })) => {
                tracing::warn!(
                    error = reason,
                    "the delay levels can be neither declared nor seen"
                );
                return Ok(());
            }
            Err(DeclareError::Transport(error)) => return Err(error),
            Err(error) => return Err(unusable(error.to_string())),
        }
    }
    Ok(())
}

fn unusable(reason: String) -> TransportError {
    TransportError::Refused {
        what: "the delay levels".to_owned(),
        reason: format!("{reason}; run `counterfoil topology apply`"),
    }
}
