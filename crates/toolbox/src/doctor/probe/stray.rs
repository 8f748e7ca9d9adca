//! Bindings that are wider than ours. A worker of Celery binds its queue, and the way out of the delay levels, by
//! `#.<service>.#`: then tasks of other services run there whose names have the word, what nobody owns does not look
//! unroutable, and each delayed task is tracked twice.
//!
//! So probes are sent that must *not* arrive.

use super::tap::Tap;
use super::told::wide;
use super::{Check, Sending, WORD};
use crate::delay::delayed_key;
use crate::message::Headers;
use crate::names::{QueueName, RoutingKey, ServiceName};
use crate::topology::{Binding, Destination, Names};
use std::time::Duration;

/// A probe, and the binding by which alone it would arrive.
pub(super) struct Stray {
    pub(super) sending: Sending,
    binding: Binding,
}

/// Those that `queue`, the one of a service, must not get, and those of which there must be no copy.
pub(super) struct Strays {
    pub(super) of_queue: Vec<Stray>,
    pub(super) of_tracking: Vec<Stray>,
}

impl Strays {
    pub(super) fn new(names: &Names, service: &ServiceName, queue: &QueueName) -> Self {
        let mut strays = Self {
            of_queue: Vec::new(),
            of_tracking: Vec::new(),
        };
        // The wider one first: what it lets through says nothing about the other.
        for (own, pattern) in [
            (format!("{service}.{WORD}"), format!("#.{service}.#")),
            (service.to_string(), format!("#.{service}")),
        ] {
            let (Ok(own), Ok(pattern)) = (RoutingKey::new(&own), RoutingKey::new(&pattern)) else {
                continue;
            };
            let binding = |source: &_, destination| Binding {
                source: Clone::clone(source),
                destination,
                key: pattern.clone(),
                arguments: Headers::new(),
            };
            if let Ok(foreign) = RoutingKey::new(&format!("{WORD}.{own}")) {
                // The inner exchange cannot be published to; the first way leads to nothing but it.
                for (by, source) in [(&names.requeue, &names.work), (&names.tasks, &names.tasks)] {
                    strays.of_queue.push(Stray {
                        sending: Sending::new(by, &foreign, false),
                        binding: binding(source, Destination::Queue(queue.clone())),
                    });
                }
            }
            if let Ok(delayed) = delayed_key(Duration::ZERO, &own) {
                strays.of_tracking.push(Stray {
                    sending: Sending::new(&names.delay_exit, &delayed, false),
                    binding: binding(
                        &names.delay_exit,
                        Destination::Exchange(names.tasks.clone()),
                    ),
                });
            }
        }
        strays
    }

    pub(super) fn sendings(&self) -> impl Iterator<Item = &Sending> {
        let all = self.of_queue.iter().chain(&self.of_tracking);
        all.map(|stray| &stray.sending)
    }
}

/// The binding by which one of these came, if one did.
pub(super) fn arrived(tap: &Tap, strays: &[Stray]) -> Option<Check> {
    let came = |stray: &&Stray| tap.times(&stray.sending.id) > 0;
    strays.iter().find(came).map(|stray| wide(&stray.binding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Item;

    #[test]
    fn each_binding_that_celery_makes_has_a_probe_that_comes_by_it_alone() {
        let names = Names::new("", "task_exchange", "platform.fifo").expect("valid");
        let (service, queue) = (
            "mail".parse().expect("valid"),
            "mail".parse().expect("valid"),
        );
        let strays = Strays::new(&names, &service, &queue);
        let told = |strays: Vec<Stray>| {
            let told = strays.into_iter().map(|stray| {
                let key = stray
                    .sending
                    .key
                    .as_str()
                    .trim_start_matches("0.")
                    .to_owned();
                format!(
                    "{key} to {}: {}",
                    stray.sending.exchange,
                    Item::Binding(stray.binding)
                )
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(
            told(strays.of_queue),
            [
                r##"counterfoil-probe.mail.counterfoil-probe to task_exchange.requeue: binding of queue mail to exchange task_exchange.work by "#.mail.#""##,
                r##"counterfoil-probe.mail.counterfoil-probe to task_exchange: binding of queue mail to exchange task_exchange by "#.mail.#""##,
                r##"counterfoil-probe.mail to task_exchange.requeue: binding of queue mail to exchange task_exchange.work by "#.mail""##,
                r##"counterfoil-probe.mail to task_exchange: binding of queue mail to exchange task_exchange by "#.mail""##,
            ]
        );
        assert_eq!(
            told(strays.of_tracking),
            [
                r##"mail.counterfoil-probe to celery_delayed_delivery: binding of exchange task_exchange to exchange celery_delayed_delivery by "#.mail.#""##,
                r##"mail to celery_delayed_delivery: binding of exchange task_exchange to exchange celery_delayed_delivery by "#.mail""##,
            ]
        );
    }
}
