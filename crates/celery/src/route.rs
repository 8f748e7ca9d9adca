//! Where a task goes that follows after another.

use counterfoil_toolbox::TaskName;
use counterfoil_toolbox::names::{ExchangeName, QueueName, RoutingKey};
use counterfoil_toolbox::topology::Names;

/// How tasks that follow find their queues.
#[derive(Debug, Clone)]
pub(crate) struct Routes {
    pub(crate) tasks: ExchangeName,
    /// Others that signatures may name.
    pub(crate) others: Vec<ExchangeName>,
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
            others: Vec::new(),
            default_queue: None,
        }
    }

    /// Exchange and key for a task that is called by one which came by the queue `came_by`, or by none. A queue is reached over the
    /// exchange of tasks, by its name, so that the platform learns of the task; so is one that is named as Celery names
    /// it without an exchange.
    ///
    /// # Errors
    /// What is no name of an exchange or key, and an exchange that nobody allowed.
    pub(crate) fn route(
        &self,
        task: &TaskName,
        said: Said<'_>,
        came_by: Option<&QueueName>,
    ) -> Result<(ExchangeName, RoutingKey), String> {
        let key = |text: &str| RoutingKey::new(text).map_err(|error| error.to_string());
        let Said {
            exchange,
            routing_key,
            queue,
        } = said;
        let exchange = match exchange.filter(|exchange| !exchange.is_empty()) {
            None => self.tasks.clone(),
            Some(exchange) => self.allowed(exchange)?,
        };
        if let Some(to) = routing_key.or(queue) {
            return Ok((exchange, key(to)?));
        }
        let to = match &self.default_queue {
            Some(queue) => key(queue.as_str())?,
            None => match came_by {
                // Celery's own tasks are run by any worker.
                Some(queue) if task.service() == "celery" => key(queue.as_str())?,
                Some(_) | None => task.routing_key(),
            },
        };
        Ok((exchange, to))
    }

    fn allowed(&self, exchange: &str) -> Result<ExchangeName, String> {
        let mut known = std::iter::once(&self.tasks).chain(&self.others);
        let found = known.find(|known| known.as_str() == exchange);
        found.cloned().ok_or_else(|| {
            format!(
                "a task that follows names the exchange {exchange:?}, which this worker does not send to: allow it by \
                 Celery::exchange"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(routes: &Routes, said: Said<'_>) -> (String, String) {
        let task = TaskName::new("mail.send").expect("valid");
        let came_by = QueueName::new("calc").expect("valid");
        let (exchange, key) = routes.route(&task, said, Some(&came_by)).expect("a way");
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
        let came_by = QueueName::new("calc").expect("valid");
        let mail = TaskName::new("mail.send").expect("valid");
        let refused = routes
            .route(&mail, said, Some(&came_by))
            .expect_err("not allowed");
        assert!(refused.contains("Celery::exchange"), "{refused}");
        routes
            .others
            .push(ExchangeName::new("other").expect("valid"));
        assert_eq!(routed(&routes, said), way("other", "mail.send"));
        let map = TaskName::new("celery.map").expect("valid");
        let way_of_map = routes
            .route(&map, Said::default(), Some(&came_by))
            .expect("a way");
        assert_eq!(way_of_map.1.as_str(), "calc", "any worker runs it");
        let said = Said {
            exchange: Some(""),
            routing_key: Some("q"),
            ..Said::default()
        };
        assert_eq!(routed(&routes, said), way("task_exchange", "q"));
        let nothing = Said::default();
        assert_eq!(routed(&routes, nothing), way("task_exchange", "mail.send"));
        routes.default_queue = Some(QueueName::new("celery").expect("valid"));
        assert_eq!(routed(&routes, nothing), way("task_exchange", "celery"));
    }
}
