//! Whether the broker answers, and what it lacks.

use super::Check;
use crate::error::ErrorChain;
use crate::transport::{ServerInfo, Transport, TransportError};

/// Looks whether the broker answers, and what its version lacks.
///
/// ```
/// use counterfoil_toolbox::doctor::{self, Outcome};
/// # use counterfoil_toolbox::transport::memory::MemoryBroker;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let transport = MemoryBroker::new();
/// let checks = doctor::broker(&transport).await;
/// assert_eq!((checks[0].name.as_str(), checks[0].outcome), ("broker", Outcome::Ok));
/// println!("{}", checks[0].detail); // "RabbitMQ 4.1.3 answers"
/// # }
/// ```
pub async fn broker(transport: &dyn Transport) -> Vec<Check> {
    match transport.server().await {
        Ok(server) => {
            let mut checks = vec![Check::ok(
                "broker",
                format!("{} {} answers", server.product, server.version),
            )];
            // What is in memory lacks nothing that a version of RabbitMQ has.
            if server.product != crate::transport::memory::PRODUCT {
                checks.extend(version(&server.version));
            }
            checks
        }
        Err(error) => vec![broker_fault(&error)],
    }
}

/// A broker that could not be asked, as a failed check.
///
/// ```
/// use counterfoil_toolbox::{doctor::broker_fault, transport::TransportError};
///
/// let reason = "NOT_ALLOWED - vhost orders not found".to_owned();
/// let error = TransportError::Refused { what: "a connection".to_owned(), reason };
/// let remedy = broker_fault(&error).remedy.expect("there is one for every error");
/// assert!(remedy.contains("`rabbitmqctl add_vhost orders`"));
/// ```
#[must_use]
pub fn broker_fault(error: &TransportError) -> Check {
    let remedy = match error {
        TransportError::Unreachable { .. } | TransportError::Timeout { .. } => {
            "start the broker, or mend broker.url and the network between".to_owned()
        }
        TransportError::Refused { reason, .. } => refusal(reason),
        TransportError::NoQueue { .. } => "run `counterfoil topology apply`".to_owned(),
        TransportError::Closed => "run it again".to_owned(),
    };
    Check::fail("broker", ErrorChain(error).to_string(), &remedy)
}

/// What to do about a refusal, by RabbitMQ's own words.
fn refusal(reason: &str) -> String {
    if let Some(vhost) = between(reason, "vhost ", " not found") {
        return format!(
            "mend the virtual host in broker.url (the part after the last slash), or make it: `rabbitmqctl add_vhost \
             {vhost}`, `rabbitmqctl set_permissions -p {vhost} USER '.*' '.*' '.*'`, `counterfoil init`"
        );
    }
    let to_vhost = between(reason, "access to vhost '", "' refused for user '");
    if let (Some(vhost), Some(user)) = (to_vhost, between(reason, "for user '", "'")) {
        return format!(
            "`rabbitmqctl set_permissions -p {vhost} {user} '.*' '.*' '.*'`, or mend virtual host or user in broker.url"
        );
    }
    if reason.contains("Login was refused") {
        return "mend user and password in broker.url, or set the password: `rabbitmqctl change_password USER PASSWORD`"
            .to_owned();
    }
    if reason.contains("disk alarm") {
        return "make room on the broker's disk or in its memory: `rabbitmqctl status` names the alarm".to_owned();
    }
    "mend user, password, virtual host or certificates in broker.url, or the user's permissions"
        .to_owned()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// What a RabbitMQ of this version does less well than a newer one.
fn version(version: &str) -> Option<Check> {
    let name = "broker version";
    if version == ServerInfo::UNKNOWN {
        let what = "not told (over TLS it is not asked): `rabbitmqctl version` says it; RabbitMQ 3.10 or newer is needed";
        return Some(Check::ok(name, what));
    }
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
        return Some(Check::warn(
            name,
            format!("{version:?} cannot be compared"),
            "look at it yourself: RabbitMQ 3.10 or newer is needed",
        ));
    };
    match (major, minor) {
        (..3, _) | (3, ..10) => Some(Check::fail(
            name,
            format!(
                "{version} lacks at-least-once dead-lettering: dead and delayed tasks could be lost"
            ),
            "use RabbitMQ 3.10 or newer",
        )),
        // It works, and there is nothing to mend.
        (3, 10..12) => Some(Check::ok(
            name,
            format!(
                "{version}: one consumer timeout for all queues (where consumer_timeout was changed in the broker's own \
                 configuration, set broker.consumer_timeout to the same), no priorities within a quorum queue, and CC \
                 headers are not checked against permissions. 3.12 and 4.0 do better"
            ),
        )),
        (3, _) | (4, 0..3) => None,
        _ => Some(Check::warn(
            name,
            format!(
                "{version}: looking at a queue needs permission to configure it; returned tasks are not counted"
            ),
            "give workers that verify their queues permission to configure them",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[tokio::test]
    async fn a_broker_in_memory_is_not_measured_by_versions_of_rabbitmq() {
        let memory = crate::transport::memory::MemoryBroker::new();
        let checks = broker(&memory).await;
        let outcomes: Vec<_> = checks.iter().map(|check| check.outcome).collect();
        assert_eq!(outcomes, [Outcome::Ok], "{checks:?}");
    }

    fn outcome(text: &str) -> Option<Outcome> {
        version(text).map(|check| check.outcome)
    }

    #[test]
    fn every_version_says_what_it_lacks() {
        for (text, wanted) in [
            ("3.9.29", Some(Outcome::Fail)),
            ("2.8.0", Some(Outcome::Fail)),
            ("3.10.8", Some(Outcome::Ok)),
            ("3.12.0", None),
            ("4.0.5", None),
            ("4.3.1", Some(Outcome::Warn)),
            ("5.0.0", Some(Outcome::Warn)),
            ("unknown", Some(Outcome::Ok)),
            ("new", Some(Outcome::Warn)),
        ] {
            assert_eq!(outcome(text), wanted, "{text}");
        }
        let old = version("3.10.8").expect("a word");
        assert!(old.detail.contains("3.12 and 4.0 do better"), "{old:?}");
    }

    #[test]
    fn each_refusal_of_rabbitmq_has_its_remedy() {
        for (reason, remedy) in [
            (
                "NOT_ALLOWED - vhost nowhere not found",
                "`rabbitmqctl add_vhost nowhere`",
            ),
            (
                "NOT_ALLOWED - access to vhost 'v' refused for user 'u'",
                "`rabbitmqctl set_permissions -p v u ",
            ),
            (
                "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
                "mend user and password",
            ),
            ("certificate verify failed", "certificates in broker.url"),
        ] {
            assert!(refusal(reason).contains(remedy), "{}", refusal(reason));
        }
    }
}
