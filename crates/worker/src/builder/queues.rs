//! Which queues a worker consumes, and what to declare when one of them is gone.

use super::WorkerBuilder;
use crate::error::BuildFault;
use crate::queues::Declarations;
use counterfoil_toolbox::config::Declaring;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::topology;
use counterfoil_toolbox::{Priority, ServiceName};
use std::collections::BTreeSet;

impl WorkerBuilder {
    /// The queues to consume: those of the settings, else those of the tasks' services.
    pub(super) fn queues(&mut self) -> Vec<QueueName> {
        if !self.settings.queues.is_empty() {
            let mut seen = BTreeSet::new();
            for queue in &self.settings.queues {
                if !seen.insert(queue) {
                    let queue = queue.clone();
                    self.faults.push(BuildFault::QueueTwice { queue });
                }
            }
            return self.settings.queues.clone();
        }
        let mut services = BTreeSet::new();
        let tasks = self.registry.sorted().into_iter();
        for task in tasks.filter(|task| task.has_queue) {
            match ServiceName::new(task.name.service()) {
                Ok(service) => {
                    services.insert(service);
                }
                Err(_) => self.faults.push(BuildFault::NoQueue {
                    name: task.name.to_string(),
                }),
            }
        }
        let queue = |service| self.names.service_queue(service);
        services.iter().map(queue).collect()
    }

    /// With the queues beside them: those of a service's classes beside its own, and those of delayed
    /// tasks, which those have whose length is limited.
    pub(super) fn with_beside(&self, mut queues: Vec<QueueName>) -> Vec<QueueName> {
        let Some(broker) = &self.broker else {
            return queues;
        };
        let beside = |queue: &QueueName| {
            let (names, class) = (&self.names, self.names.class_of(queue));
            let service = ServiceName::new(names.service_of(queue)).ok()?;
            if *queue != names.class_queue(&service, class) {
                return None;
            }
            let mut settings = broker.service(&service);
            // Whoever else declares its queues knows nothing of those for delayed tasks.
            if broker.declaring(&service) == Declaring::Off {
                settings.max_length = None;
            }
            let mut all = topology::work_queues(names, &service, &settings);
            // A worker for one class has asked for no other.
            all.retain(|queue| class == Priority::Normal || names.class_of(queue) == class);
            Some(all)
        };
        let beside: Vec<_> = queues.iter().filter_map(beside).flatten().collect();
        for queue in beside {
            if !queues.contains(&queue) {
                queues.push(queue);
            }
        }
        queues
    }

    /// The services that it works for: first those of its queues, then those of its tasks.
    pub(super) fn services(&self, queues: &[QueueName]) -> Vec<ServiceName> {
        let of_queues = queues.iter().map(|queue| self.names.service_of(queue));
        let tasks = self.registry.sorted();
        let of_tasks = tasks.iter().filter(|task| task.has_queue);
        let of_tasks = of_tasks.map(|task| task.name.service());
        let mut services = Vec::new();
        for service in of_queues.chain(of_tasks) {
            match ServiceName::new(service) {
                Ok(service) if !services.contains(&service) => services.push(service),
                Ok(_) | Err(_) => {}
            }
        }
        services
    }

    /// What to declare again when a queue is gone.
    pub(super) fn declarations(&self, queues: &[QueueName]) -> Declarations {
        let Some(broker) = &self.broker else {
            return Declarations::new();
        };
        let items = |queue: &QueueName| {
            let service = ServiceName::new(self.names.service_of(queue)).ok()?;
            let items = || topology::service(&self.names, &service, &broker.service(&service));
            (broker.declaring(&service) == Declaring::Active).then(|| (queue.clone(), items()))
        };
        queues.iter().filter_map(items).collect()
    }
}
