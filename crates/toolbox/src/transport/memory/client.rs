//! Who is connected: whoever made the broker, and processes that can be lost alone.

use super::broker::Shared;
use super::channel::Gone;
use crate::transport::TransportError;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClientId(u64);

/// One client, as its handles have it.
#[derive(Debug, Clone)]
pub(super) struct Client {
    id: ClientId,
    closed: CancellationToken,
}

impl ClientId {
    /// Whoever made the broker: what concerns this one concerns all.
    pub(super) const ALL: Self = Self(0);

    /// Whether what concerns `self` concerns `other`.
    pub(super) fn covers(self, other: Self) -> bool {
        self == Self::ALL || self == other
    }
}

impl Client {
    pub(super) fn owner(shared: &Shared) -> Self {
        Self {
            id: ClientId::ALL,
            closed: shared.closed.clone(),
        }
    }

    pub(super) fn another(&self, shared: &Arc<Shared>) -> Self {
        Self {
            id: ClientId(shared.next_client()),
            closed: self.closed.child_token(),
        }
    }

    pub(super) fn id(&self) -> ClientId {
        self.id
    }

    pub(super) fn is_owner(&self) -> bool {
        self.id == ClientId::ALL
    }

    /// Ends with the client, and with whichever it came from.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    pub(super) fn ensure_open(&self) -> Result<(), TransportError> {
        match self.closed.is_cancelled() {
            true => Err(TransportError::Closed),
            false => Ok(()),
        }
    }

    pub(super) fn hang_up(&self, shared: &Shared) {
        self.closed.cancel();
        shared.with(|state| state.close_channels(self.id, &Gone::Closed));
    }
}
