//! Whether anybody takes what is sent: told to the sender, who may have expected a worker.

use crate::failure::Failure;
use crate::known::meant;
use crate::open;
use crate::text::plain;
use counterfoil_operations::services::paused;
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::names::{QueueName, ServiceName};
use counterfoil_toolbox::transport::{QueueDepth, Transport};

/// Says why there may be nothing to wait for. Whoever may not look does not learn it.
pub(super) async fn tell_if_nobody_has(
    config: &Config,
    transport: &dyn Transport,
    queue: &QueueName,
    service: &ServiceName,
) {
    match transport.depth(queue).await {
        Ok(None) => {
            let known = config.broker.services.iter().map(ServiceName::to_string);
            let known: Vec<String> = known.collect();
            let meant = meant(service.as_str(), &known);
            let meant = meant.map_or(String::new(), |name| format!("; did you mean {name}?"));
            eprintln!(
                "there is no queue {queue}: unless another one takes its tasks, it is UNROUTABLE, and runs once there \
                 is a worker for it{meant}"
            );
        }
        Ok(Some(QueueDepth { consumers: 0, .. })) => match paused_by(config, service).await {
            Some(by) => eprintln!(
                "service {service} is paused by {}: nothing of it starts until `counterfoil resume {service}`",
                plain(&by)
            ),
            None => eprintln!("no worker consumes the queue {queue} at the moment"),
        },
        Ok(Some(_)) | Err(_) => {}
    }
}

/// Who paused the service, as far as the database can be asked: sending needs the broker alone.
async fn paused_by(config: &Config, service: &ServiceName) -> Option<String> {
    let database = config.database.as_ref()?;
    if database.missing_file().is_some() {
        return None;
    }
    let asked = async {
        let store = open::database(config).await?;
        let rows = paused(&*store).await;
        store.close().await;
        Ok::<_, Failure>(rows?)
    };
    let rows = asked.await.unwrap_or_default();
    let row = rows
        .into_iter()
        .find(|row| row.subject == service.as_str())?;
    Some(row.created_by.unwrap_or_else(|| "somebody".to_owned()))
}
