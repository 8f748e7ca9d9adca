//! Where a broker is.

use std::time::Duration;

/// Where a broker is, and who asks there, without any secret.
///
/// ```
/// use counterfoil_toolbox::transport::{Transport, memory::MemoryBroker};
///
/// assert_eq!(MemoryBroker::new().address(), None); // it is nowhere
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or number of the host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The virtual host.
    pub vhost: String,
    /// The user.
    pub user: String,
    /// Over TLS.
    pub is_encrypted: bool,
    /// How often the two sides tell each other that they are there.
    pub heartbeat: Duration,
}
