//! Services that anybody has heard of.

use crate::failure::Failure;
use crate::text::plain;
use counterfoil_store::Store;
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::names::ServiceName;
use counterfoil_toolbox::text::nearest;

/// Names that are less alike than this are not taken for each other.
const NEAR: f64 = 0.7;

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
        let known = match (meant(service, &known), known.is_empty()) {
            (Some(meant), _) => format!("did you mean {meant}?"),
            (None, true) => "none are known".to_owned(),
            (None, false) => format!("those known are {}", known.join(", ")),
        };
        let known = plain(&known);
        eprintln!("warning: nobody has heard of a service {service}; {known}{then}");
    }
    Ok(())
}

/// The known name that was probably meant.
pub(crate) fn meant<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    nearest(name, known.iter().map(String::as_str), NEAR)
}

/// The known task that was probably meant; its service may be left out.
pub(crate) fn meant_task<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    if name.contains('.') {
        return meant(name, known);
    }
    let short = |task: &'a String| {
        task.split_once('.')
            .map_or(task.as_str(), |(_, short)| short)
    };
    let found = nearest(name, known.iter().map(short), NEAR)?;
    known
        .iter()
        .find(|task| short(task) == found)
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognized_and_another_word_is_not() {
        let known = ["export.project", "export.parcel", "demo.add"].map(str::to_owned);
        assert_eq!(meant("exprot.project", &known), Some("export.project"));
        assert_eq!(meant("demo.ad", &known), Some("demo.add"));
        assert_eq!(meant("mail.send", &known), None);
        assert_eq!(meant("demo.add", &[]), None);
        assert_eq!(meant_task("projcet", &known), Some("export.project"));
        assert_eq!(meant_task("add", &known), Some("demo.add"));
        assert_eq!(meant_task("send", &known), None);
    }
}
