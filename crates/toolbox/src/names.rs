//! Names of tasks, services, queues and exchanges, with the limits that RabbitMQ and Celery set.

use crate::text::checked_text;

/// Name of the task that canaries and probes pretend to be. No service can be called `platform`; workers
/// take such a message out of their queue without a word, and the daemon makes no row of it.
pub const CANARY: &str = "platform.canary";

checked_text! {
    /// Name of a task type, `export.project`. 1–155 bytes, no white space, no control characters.
    ///
    /// It is a routing key too: 155 bytes and the 56 of a delay's bits stay below AMQP's 255.
    ///
    /// ```
    /// use counterfoil_toolbox::TaskName;
    ///
    /// let name: TaskName = "export.project.csv".parse()?;
    /// assert_eq!(name.service(), "export");
    /// assert_eq!(name.routing_key(), "export.project.csv");
    /// assert!(TaskName::new("export project").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    TaskName, "task name", check_task_name
}

checked_text! {
    /// First segment of a task's name and name of the queue that serves it, `export`.
    ///
    /// 1–100 bytes of ASCII letters, digits, `_` and `-`. `~` sets a class of
    /// [priority](crate::Priority) apart (`export~high`) and is in no service's own name. `platform`
    /// belongs to the platform's own queues.
    ///
    /// ```
    /// use counterfoil_toolbox::ServiceName;
    ///
    /// assert_eq!(ServiceName::new("export")?.queue(), "export");
    /// let refused = ServiceName::new("export.project").expect_err("a dot");
    /// assert_eq!(refused.why, "only ASCII letters, digits, '_' and '-' are allowed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ServiceName, "service name", check_service_name
}

checked_text! {
    /// Name of a queue: 1–255 bytes, never starting with `amq.`, which RabbitMQ keeps for itself.
    ///
    /// ```
    /// use counterfoil_toolbox::names::QueueName;
    ///
    /// assert!(QueueName::new("export.dead").is_ok());
    /// assert!(QueueName::new("amq.gen-1").is_err());
    /// ```
    QueueName, "queue name", check_broker_name
}

checked_text! {
    /// Name of an exchange: at most 255 bytes; empty is the default exchange.
    ///
    /// ```
    /// use counterfoil_toolbox::names::ExchangeName;
    ///
    /// assert_eq!(ExchangeName::default_exchange(), ExchangeName::new("")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ExchangeName, "exchange name", check_exchange_name
}

checked_text! {
    /// Routing key of a message: at most 255 bytes, words separated by dots.
    ///
    /// ```
    /// use counterfoil_toolbox::names::RoutingKey;
    ///
    /// assert_eq!(RoutingKey::new("export~high.project")?, "export~high.project");
    /// assert!(RoutingKey::new(&"k".repeat(256)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    RoutingKey, "routing key", check_routing_key
}

impl TaskName {
    /// First segment of the name: the service that owns the task.
    #[must_use]
    pub fn service(&self) -> &str {
        let name = self.as_str();
        name.split_once('.').map_or(name, |(service, _)| service)
    }

    /// The name as the key under which the task is routed.
    #[must_use]
    pub fn routing_key(&self) -> RoutingKey {
        RoutingKey(self.0.clone())
    }
}

impl ServiceName {
    /// Queue of this service, before a prefix is put in front of it.
    #[must_use]
    pub fn queue(&self) -> QueueName {
        QueueName(self.0.clone())
    }
}

impl ExchangeName {
    /// The exchange without a name, which routes to the queue that the key names.
    #[must_use]
    pub fn default_exchange() -> Self {
        Self("".into())
    }

    /// Whether it is that one.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

fn check_task_name(text: &str) -> Result<(), &'static str> {
    match text.len() {
        0 => Err("it is empty"),
        156.. => Err("it is longer than 155 bytes"),
        _ if text.chars().any(|c| c.is_control() || c.is_whitespace()) => {
            Err("it holds white space or a control character")
        }
        _ => Ok(()),
    }
}

fn check_service_name(text: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match text.len() {
        0 => Err("it is empty"),
        101.. => Err("it is longer than 100 bytes"),
        _ if text.contains('~') => Err("'~' sets a class of priority apart"),
        _ if !text.chars().all(allowed) => {
            Err("only ASCII letters, digits, '_' and '-' are allowed")
        }
        _ if text == "platform" => Err("'platform' is reserved for the platform's own queues"),
        _ => Ok(()),
    }
}

fn check_broker_name(text: &str) -> Result<(), &'static str> {
    match text.len() {
        0 => Err("it is empty"),
        256.. => Err("it is longer than 255 bytes"),
        _ if text.starts_with("amq.") => {
            Err("names that start with 'amq.' are reserved by RabbitMQ")
        }
        _ => Ok(()),
    }
}

fn check_exchange_name(text: &str) -> Result<(), &'static str> {
    if text.len() > 255 {
        Err("it is longer than 255 bytes")
    } else {
        Ok(())
    }
}

fn check_routing_key(text: &str) -> Result<(), &'static str> {
    if text.len() > 255 {
        Err("it is longer than 255 bytes")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_segment_of_a_task_name_is_its_service() {
        let service = |name: &str| TaskName::new(name).expect(name).service().to_owned();
        assert_eq!(service("export.project.csv"), "export");
        assert_eq!(service("export"), "export");
    }

    #[test]
    fn names_that_would_break_routing_or_the_platform_are_refused() {
        assert!(TaskName::new("export project").is_err());
        assert!(ServiceName::new("platform").is_err());
        assert!(ServiceName::new("export.dead").is_err());
        assert!(ServiceName::new("export~high").is_err());
        assert!(ServiceName::new("*").is_err());
        assert!(QueueName::new("amq.gen-1").is_err());
        assert!(RoutingKey::new(&"k".repeat(256)).is_err());
    }

    #[test]
    fn a_refused_name_is_named_with_the_rule() {
        let error = ServiceName::new("a.b")
            .expect_err("dots separate segments")
            .to_string();
        assert_eq!(
            error,
            "service name \"a.b\" is not valid: only ASCII letters, digits, '_' and '-' are allowed"
        );
    }
}
