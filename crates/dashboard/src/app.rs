//! What all requests share.

use crate::access::{Cookies, HashError, Passwords, Seal, Seldom};
use crate::headers;
use crate::live::Live;
use crate::page::overview::Depths;
use crate::shown::Mask;
use crate::trouble::Trouble;
use axum::http::HeaderValue;
use counterfoil_operations::Platform;
use counterfoil_store::Store;
use counterfoil_toolbox::Producer;
use counterfoil_toolbox::config::{BrokerSettings, DatabaseSettings, SyncSettings};
use counterfoil_toolbox::config::{Config, ConfigError, DashboardSettings};
use counterfoil_toolbox::text::InvalidText;
use counterfoil_toolbox::transport::Transport;
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The dashboard of one platform. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Dashboard {
    pub(crate) app: Shared,
}

/// What all requests share.
pub(crate) type Shared = Arc<App>;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) settings: DashboardSettings,
    pub(crate) mask: Mask,
    pub(crate) seal: Seal,
    pub(crate) cookies: Cookies,
    pub(crate) passwords: Passwords,
    /// Sign-ins that failed, as far as they are written down.
    pub(crate) failed: Seldom,
    /// What browsers are told of fragments that others may show.
    pub(crate) embed_policy: HeaderValue,
    pub(crate) live: Live,
    pub(crate) depths: Depths,
    /// What people do right now.
    pub(crate) deeds: TaskTracker,
    /// The dashboard ends: streams must, too.
    pub(crate) stop: CancellationToken,
    /// Broker and database.
    pub(crate) platform: Platform,
    pub(crate) producer: Producer,
    pub(crate) broker: BrokerSettings,
    /// File of the schemas of tasks that no worker announces.
    pub(crate) catalogue: Option<PathBuf>,
    /// How the daemon is set up.
    pub(crate) sync: SyncSettings,
}

/// Why there is no dashboard.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DashboardError {
    /// Something is not configured.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A name of the broker's settings is none.
    #[error(transparent)]
    Name(#[from] InvalidText),
    /// There is no randomness.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl Dashboard {
    /// A dashboard of what is in `store` and at the broker. Nothing is asked of them yet: they may be away.
    ///
    /// # Errors
    /// [`DashboardError`]
    pub fn new(
        store: Arc<dyn Store>,
        transport: Arc<dyn Transport>,
        config: &Config,
    ) -> Result<Self, DashboardError> {
        let settings = config.dashboard.clone();
        let id_secret = &config.require_database()?.id_secret;
        let seal = seal(settings.secret.as_ref(), id_secret);
        let names = config.broker.names()?;
        let app = App {
            cookies: Cookies::new(&settings, seal.clone()),
            passwords: Passwords::new()?,
            failed: Seldom::default(),
            live: Live::new(),
            depths: Depths::default(),
            deeds: TaskTracker::new(),
            stop: CancellationToken::new(),
            producer: Producer::builder(Arc::clone(&transport), names.clone())
                .breaker(config.breaker.clone())
                .build(),
            embed_policy: headers::embedded(&settings.embed_from),
            platform: Platform {
                transport,
                names,
                store: Arc::clone(&store),
            },
            broker: config.broker.clone(),
            catalogue: config.catalogue.clone(),
            sync: config.sync.clone(),
            mask: Mask::new(&settings.masked),
            store,
            settings,
            seal,
        };
        Ok(Self { app: Arc::new(app) })
    }
}

/// The seal of what is given away. The key that everybody has who configures none is no secret: whoever reads it
/// here could make links.
fn seal(secret: Option<&SecretString>, id_secret: &SecretString) -> Seal {
    let everybodys = DatabaseSettings::default().id_secret;
    if secret.is_none() && id_secret.expose_secret() == everybodys.expose_secret() {
        tracing::warn!(
            "neither dashboard.secret nor database.id_secret is set: sign-ins and links hold until this process ends"
        );
        return Seal::random();
    }
    Seal::new(secret, id_secret)
}

impl App {
    /// Lets what is written from now on reach callers in Python, where the daemon writes results for them.
    ///
    /// # Errors
    /// When the database does not answer, or does not let this user.
    pub(crate) async fn tell_python(&self) -> Result<(), Trouble> {
        match self.sync.celery_results {
            Some(encoding) => Ok(self.store.keep_celery_results(encoding).await?),
            None => Ok(()),
        }
    }

    /// Whether tasks can be sent, as far as is known.
    pub(crate) fn can_send(&self) -> bool {
        self.producer.availability().borrow().is_available()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_make_a_link_with_the_key_that_everybody_has() {
        let everybodys = DatabaseSettings::default().id_secret;
        let made = Seal::new(None, &everybodys).of("link", &["x"]);
        assert!(!seal(None, &everybodys).is_of(&made, "link", &["x"]));
        let own = SecretString::from("own");
        let made = Seal::new(Some(&own), &everybodys).of("link", &["x"]);
        assert!(seal(Some(&own), &everybodys).is_of(&made, "link", &["x"]));
        let made = Seal::new(None, &own).of("link", &["x"]);
        assert!(seal(None, &own).is_of(&made, "link", &["x"]));
    }
}
