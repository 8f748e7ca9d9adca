//! Who was asked to run a task.

use counterfoil_toolbox::delay::without_delay;
use counterfoil_toolbox::names::RoutingKey;

/// The services that a tracking copy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owners {
    /// The one that the task's name begins with.
    pub by_name: Box<str>,
    /// The one whose queue its key leads to.
    pub by_key: Box<str>,
}

impl Owners {
    /// Whether `service` is one of them.
    #[must_use]
    pub fn include(&self, service: &str) -> bool {
        *self.by_name == *service || *self.by_key == *service
    }
}

/// Service whose queue a key leads to: its first segment, after the bits of a delay.
pub(crate) fn addressee(routing_key: &str) -> Box<str> {
    let first = |key: &str| key.split('.').next().unwrap_or_default().into();
    match RoutingKey::new(routing_key) {
        Ok(key) => first(without_delay(&key).as_str()),
        // No broker takes such a key.
        Err(_) => first(routing_key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_leads_to_a_service_delayed_or_not() {
        let delayed = format!("{}proj.default", "0.1.".repeat(14));
        for (key, service) in [
            ("demo.add", "demo"),
            ("celery", "celery"),
            (&*delayed, "proj"),
            ("", ""),
        ] {
            assert_eq!(&*addressee(key), service);
        }
    }

    #[test]
    fn a_task_is_that_of_its_name_and_of_its_key_and_nobody_elses() {
        let owners = Owners {
            by_name: "proj".into(),
            by_key: "demo".into(),
        };
        assert!(owners.include("proj") && owners.include("demo"));
        assert!(!owners.include("export") && !owners.include(""));
    }
}
