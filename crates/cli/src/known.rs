//! Services that anybody has heard of.

use crate::failure::Failure;
use counterfoil_store::Store;
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::names::ServiceName;

/// Says so when nobody has heard of this service: a name that is mistyped does no harm, and nothing else.
/// `then` tells what that means.
pub(crate) async fn warn_if_unknown(
    store: &dyn Store,
    config: &Config,
    service: &str,
    then: &str,
) -> Result<(), Failure> {
    let mut known = store.services().await?;
    let workers = store.workers().await?.into_iter();
    known.extend(workers.map(|worker| worker.service));
    known.extend(config.broker.services.iter().map(ServiceName::to_string));
    known.sort();
    known.dedup();
    if !known.iter().any(|known| known == service) {
        let known = match known.is_empty() {
            true => "none are known".to_owned(),
            false => format!("those known are {}", known.join(", ")),
        };
        eprintln!("warning: nobody has heard of a service {service}; {known}{then}");
    }
    Ok(())
}
