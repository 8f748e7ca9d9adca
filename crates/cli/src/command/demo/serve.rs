//! The dashboard of the demo: from its beginning, and until somebody has seen enough.

use super::cast::Cast;
use super::stage::Stage;
use crate::failure::{Code, Failure};
use counterfoil_dashboard::Dashboard;
use counterfoil_toolbox::start::asked_to_stop;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A dashboard that is served.
pub(super) struct Serving {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Serving {
    /// Serves what is on `stage`, at `dashboard.bind`.
    pub(super) async fn begin(stage: &Stage) -> Result<Self, Failure> {
        let bind = &stage.config.dashboard.bind;
        let taken = |error: std::io::Error| {
            let error = anyhow::Error::new(error).context(format!("{bind} cannot be listened at"));
            Failure::new(Code::Configuration, error)
                .remedy("choose another address: COUNTERFOIL_DASHBOARD__BIND=127.0.0.1:8091")
        };
        if !stage.config.dashboard.is_loopback() && !stage.config.dashboard.knows_people() {
            let error = anyhow::anyhow!("others can reach {bind}, and nobody has to sign in");
            return Err(Failure::new(Code::Configuration, error).remedy("bind 127.0.0.1"));
        }
        let listener = TcpListener::bind(bind).await.map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let (store, transport) = (Arc::clone(&stage.store), Arc::clone(&stage.transport));
        let dashboard = Dashboard::new(store, transport, &stage.config);
        let dashboard = dashboard.map_err(|error| Failure::new(Code::Configuration, error))?;
        let stop = CancellationToken::new();
        let ending = stop.clone();
        let task = tokio::spawn(async move { dashboard.serve(listener, ending).await });
        eprintln!("look at it: http://{address}");
        Ok(Self {
            address,
            stop,
            task,
        })
    }

    /// Goes on, with a daemon and a worker, until somebody asks to stop.
    pub(super) async fn until_asked_to_stop(&self, stage: &Stage) -> Result<(), Failure> {
        let cast = Cast::enter(stage)?;
        eprintln!(
            "the dashboard stays at http://{}, with a worker and a daemon; Ctrl-C ends it",
            self.address
        );
        asked_to_stop().await;
        cast.dismiss().await;
        Ok(())
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        // It says in the log what went wrong.
        let _ = self.task.await;
    }
}
