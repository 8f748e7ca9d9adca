//! Configuration, broker and database, opened for one command: tried once.

use crate::args::Global;
use crate::failure::{Code, Failure};
use counterfoil_operations::Platform;
use counterfoil_store::{Store, StoreOptions};
use counterfoil_toolbox::config::{
    BrokerSettings, Config, ConfigError, LoadOptions, Needs, Role, redact_url,
};
use counterfoil_toolbox::telemetry::init_logs_from;
use counterfoil_toolbox::topology::Names;
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::transport::{Transport, TransportError};
use secrecy::ExposeSecret;
use std::sync::Arc;
use tracing::level_filters::LevelFilter;

/// Reads the configuration and sets up logs: warnings, unless `COUNTERFOIL_LOG` or `RUST_LOG` asks for more.
pub(crate) fn config(global: &Global, needs: Needs) -> Result<Config, Failure> {
    config_with(global, needs, [], LevelFilter::WARN)
}

/// Like [`config`], with variables that go before those of the process, and another level.
pub(crate) fn config_with(
    global: &Global,
    needs: Needs,
    variables: impl IntoIterator<Item = (&'static str, String)>,
    level: LevelFilter,
) -> Result<Config, Failure> {
    let config = Config::load(options(global, needs).env(variables))?;
    logs_from(&config, level)?;
    Ok(config)
}

/// Reads the configuration, and nothing else.
pub(crate) fn load(global: &Global, needs: Needs) -> Result<Config, ConfigError> {
    Config::load(options(global, needs))
}

/// Sets up logs: warnings, unless `COUNTERFOIL_LOG` or `RUST_LOG` asks for more.
pub(crate) fn logs(config: &Config) -> Result<(), Failure> {
    logs_from(config, LevelFilter::WARN)
}

fn options(global: &Global, needs: Needs) -> LoadOptions {
    LoadOptions::from_process(Role::Cli(needs)).file(global.config.clone())
}

fn logs_from(config: &Config, level: LevelFilter) -> Result<(), Failure> {
    init_logs_from(&config.telemetry, level)
        .map_err(|error| Failure::new(Code::Configuration, error))
}

/// Connects to the broker, within `connect_timeout` for each of its URLs.
pub(crate) async fn broker(settings: &BrokerSettings) -> Result<Arc<dyn Transport>, Failure> {
    let transport =
        AmqpTransport::new(settings).map_err(|error| Failure::new(Code::Configuration, error))?;
    let deadline = settings.connect_timeout_of_all();
    match tokio::time::timeout(deadline, transport.server()).await {
        Ok(Ok(_)) => Ok(transport),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(TransportError::Timeout {
            what: format!("a connection to {}", addresses(settings)),
            after: deadline,
        }
        .into()),
    }
}

/// Where the broker is, for people.
pub(crate) fn addresses(settings: &BrokerSettings) -> String {
    let urls = settings
        .urls
        .iter()
        .map(|url| redact_url(url.expose_secret()));
    urls.collect::<Vec<_>>().join(", ")
}

/// Names of exchanges and queues; the configuration has checked that there are some.
pub(crate) fn names(settings: &BrokerSettings) -> Result<Names, Failure> {
    settings
        .names()
        .map_err(|error| Failure::new(Code::Configuration, error))
}

/// Connects to the database. A file that is not there is not made.
pub(crate) async fn database(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    let settings = config.require_database()?;
    if let Some(file) = settings.missing_file() {
        let file = std::path::absolute(&file).unwrap_or(file);
        let error = anyhow::anyhow!("there is no database {}", file.display());
        return Err(Failure::new(Code::Unavailable, error).remedy(
            "go to the folder of the one that there is, or name it in database.url; for a first one run `counterfoil init`",
        ));
    }
    create_database(config).await
}

/// Connects to the database, and makes its file when it is one.
pub(crate) async fn create_database(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    let settings = config.require_database()?;
    let options = StoreOptions {
        connections: settings.pool.min(4),
        acquire_timeout: config.broker.connect_timeout,
        ..StoreOptions::from(settings)
    };
    Ok(counterfoil_store::connect(&options).await?)
}

/// Connects to both.
pub(crate) async fn platform(config: &Config) -> Result<Platform, Failure> {
    platform_with(database(config).await?, config).await
}

/// The same where the database is open already.
pub(crate) async fn platform_with(
    store: Arc<dyn Store>,
    config: &Config,
) -> Result<Platform, Failure> {
    let names = names(&config.broker)?;
    Ok(Platform {
        store,
        transport: broker(&config.broker).await?,
        names,
    })
}

/// Lets what is written from now on reach callers in Python, where the daemon writes results for them.
pub(crate) async fn tell_python(store: &dyn Store, config: &Config) -> Result<(), Failure> {
    match config.sync.celery_results {
        Some(encoding) => Ok(store.keep_celery_results(encoding).await?),
        None => Ok(()),
    }
}
