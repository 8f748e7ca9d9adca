//! A thread of the transport's own: what keeps connections alive, publishes and acknowledges must
//! not wait for code that blocks the threads of its user.

use crate::transport::error::TransportError;
use std::fmt;
use tokio::runtime::{Builder, Handle, Runtime};

/// One thread is enough: it only moves bytes, lapin has another for the socket.
const THREADS: usize = 1;

/// The runtime of one transport. It ends with the last connection, publisher and subscription.
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    pub(super) fn start() -> Result<Self, TransportError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("counterfoil-io")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| TransportError::Refused {
            what: "a thread for the broker".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn handle(&self) -> &Handle {
        let runtime = self.0.as_ref();
        runtime.expect("taken only when it is dropped").handle()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The last owner may be a task of this very runtime, which cannot wait for itself.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Threads")
    }
}
