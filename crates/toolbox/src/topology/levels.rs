//! Declaring the delay levels where they are used, once per process.

use super::{Names, apply, delay_levels};
use crate::transport::{Transport, TransportError};
use tokio::sync::OnceCell;

/// Whether this process has seen to it that the delay levels exist.
#[derive(Debug, Default)]
pub struct DelayLevels {
    declared: OnceCell<()>,
}

impl DelayLevels {
    /// Declares the levels, the first time that it is called; it takes about 0.2 s.
    ///
    /// A broker user that may not declare them is taken at its word: whoever set its permissions
    /// has applied the topology. If not, publishing to the first level says so.
    ///
    /// # Errors
    /// [`TransportError`] when the broker cannot be asked. The next call tries again.
    ///
    /// # Cancel safety
    /// Cancelled, the next call begins anew.
    pub async fn declare(
        &self,
        transport: &dyn Transport,
        names: &Names,
    ) -> Result<(), TransportError> {
        let declare = async || match apply(transport, delay_levels(names)).await {
            Ok(_) => Ok(()),
            Err(TransportError::Refused { what, reason }) => {
                tracing::debug!(%what, %reason, "the delay levels are not ours to declare");
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.declared.get_or_try_init(declare).await.copied()
    }
}
