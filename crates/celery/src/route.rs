//! Where a task goes that follows after another.

use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::topology::Names;

/// How tasks that follow find their queues.
#[derive(Debug, Clone)]
pub(crate) struct Routes {
    pub(crate) tasks: ExchangeName,
    /// Where tasks go of which nothing is said. `None`: to the service of their name.
    pub(crate) default_queue: Option<QueueName>,
}

/// What a signature says of where its task goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Said<'a> {
    pub(crate) exchange: Option<&'a str>,
    pub(crate) routing_key: Option<&'a str>,
    pub(crate) queue: Option<&'a str>,
}

impl Routes {
    pub(crate) fn new(names: &Names) -> Self {
        Self {
            tasks: names.tasks.clone(),
            default_queue: None,
        }
    }

    /// Exchange and key for a task. A queue is reached over the exchange of tasks, by its name, so that the platform
    /// learns of the task; whoever names the default exchange himself goes by that.
    ///
    /// # Errors
    /// What is no name of an exchange, queue or key.
    pub(crate) fn route(
        &self,
        task: &TaskName,
        said: Said<'_>,
    ) -> Result<(ExchangeName, RoutingKey), String> {
        let key = |text: &str| RoutingKey::new(text).map_err(|error| error.to_string());
        match said {
            Said {
                exchange: Some(""),
                routing_key: Some(to),
                ..
            } => Ok((ExchangeName::default_exchange(), key(to)?)),
            Said {
                exchange: Some(exchange),
                routing_key,
                ..
            } if !exchange.is_empty() => {
                let exchange = ExchangeName::new(exchange).map_err(|error| error.to_string())?;
                let to = routing_key.map_or_else(|| Ok(task.routing_key()), key)?;
                Ok((exchange, to))
            }
            Said {
                routing_key: Some(to),
                ..
            }
            | Said {
                queue: Some(to), ..
            } => Ok((self.tasks.clone(), key(to)?)),
            Said { .. } => {
                let to = self.default_queue.as_ref();
                let to = to.map_or_else(|| Ok(task.routing_key()), |queue| key(queue.as_str()))?;
                Ok((self.tasks.clone(), to))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(routes: &Routes, said: Said<'_>) -> (String, String) {
        let task = TaskName::new("mail.send").expect("valid");
        let (exchange, key) = routes.route(&task, said).expect("a way");
        (exchange.to_string(), key.to_string())
    }

    #[test]
    fn a_task_goes_where_its_signature_says_and_else_to_its_service_or_the_default_queue() {
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let mut routes = Routes::new(&names);
        let way = |exchange: &str, key: &str| (exchange.to_owned(), key.to_owned());
        let said = Said {
            queue: Some("slow"),
            ..Said::default()
        };
        assert_eq!(routed(&routes, said), way("task_exchange", "slow"));
        let said = Said {
            exchange: Some("other"),
            ..Said::default()
        };
        assert_eq!(routed(&routes, said), way("other", "mail.send"));
        let said = Said {
            exchange: Some(""),
            routing_key: Some("q"),
            ..Said::default()
        };
        assert_eq!(routed(&routes, said), way("", "q"));
        let nothing = Said::default();
        assert_eq!(routed(&routes, nothing), way("task_exchange", "mail.send"));
        routes.default_queue = Some(QueueName::new("celery").expect("valid"));
        assert_eq!(routed(&routes, nothing), way("task_exchange", "celery"));
    }
}
