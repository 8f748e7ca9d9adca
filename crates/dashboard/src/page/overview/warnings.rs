//! What operators should know without looking for it, in plain words.

use crate::app::App;
use crate::page::queues::lines;
use crate::shown::{grouped, visible};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_operations::queues::QueueLine;
use counterfoil_operations::workers::is_alive;
use counterfoil_store::record::WorkerRow;
use counterfoil_store::{DeadFilter, ParkedFilter, StoreError};

/// Messages that the daemon may have before it is called behind.
const BEHIND: u32 = 5000;

/// Letters of the last hour that are counted: they are read with their messages.
const COUNTED: u32 = 100;

/// Something that is not as it should be, and where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) text: String,
    /// Where it is shown.
    pub(super) link: &'static str,
}

/// What is not as it should be.
///
/// # Errors
/// When the database does not answer. A broker that does not is a warning.
pub(super) async fn warnings(
    app: &App,
    workers: &[WorkerRow],
    now: DateTime<Utc>,
) -> Result<Vec<Warning>, StoreError> {
    let mut warnings = of_workers(workers, now);
    match lines(app).await {
        Ok(lines) => warnings.extend(of_queues(&lines)),
        Err(error) => warnings.push(Warning {
            text: format!(
                "the broker cannot be asked: {}",
                visible(&error.to_string())
            ),
            link: "/queues",
        }),
    }
    if !app.can_send() {
        let text = "nothing can be sent: the circuit breaker is open".to_owned();
        warnings.push(Warning {
            text,
            link: "/queues",
        });
    }
    let since = Some(now - TimeDelta::hours(1));
    let dead = DeadFilter {
        since,
        limit: COUNTED,
        ..DeadFilter::default()
    };
    let dead = app.store.dead(&dead).await?.len();
    if dead > 0 {
        let text = format!(
            "{} within the last hour",
            letters(dead, COUNTED, "dead letter")
        );
        warnings.push(Warning {
            text,
            link: "/dead",
        });
    }
    let parked = ParkedFilter {
        limit: COUNTED,
        ..ParkedFilter::default()
    };
    let parked = app.store.parked(&parked).await?.len();
    if parked > 0 {
        let text = format!(
            "{} that the platform could not read",
            letters(parked, COUNTED, "message")
        );
        warnings.push(Warning {
            text,
            link: "/parked",
        });
    }
    Ok(warnings)
}

fn of_workers(workers: &[WorkerRow], now: DateTime<Utc>) -> Vec<Warning> {
    let living = workers.iter().filter(|row| is_alive(row, now)).count();
    let silent = workers
        .iter()
        .filter(|row| !row.has_stopped() && !is_alive(row, now));
    let silent = silent.count();
    let mut warnings = Vec::new();
    let mut warn = |text| {
        warnings.push(Warning {
            text,
            link: "/workers",
        })
    };
    if living == 0 {
        warn("no worker is heard of: nothing runs".to_owned());
    } else if silent > 0 {
        warn(format!(
            "{} fell silent without saying that {} end{}",
            letters(silent, u32::MAX, "worker"),
            if silent == 1 { "it" } else { "they" },
            if silent == 1 { "s" } else { "" },
        ));
    }
    warnings
}

/// Pure, but for what it is told.
fn of_queues(lines: &[QueueLine]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for line in lines {
        let ready = line.ready.unwrap_or(0);
        let queue = &line.queue;
        let is_services = line.service.is_some();
        let text = match (line.ready, line.consumers) {
            (None, _) => format!("the queue {queue} is missing"),
            (Some(_), Some(0)) if !is_services && ready > 0 => format!(
                "no daemon reads {queue}, in which {} wait{}: what is shown here is old",
                letters(ready.try_into().unwrap_or(usize::MAX), u32::MAX, "message"),
                if ready == 1 { "s" } else { "" },
            ),
            // Somebody knows.
            (Some(_), Some(0)) if line.paused == Some(true) => continue,
            (Some(_), Some(0)) if ready > 0 => format!(
                "nobody consumes {queue}, in which {} wait{}",
                letters(ready.try_into().unwrap_or(usize::MAX), u32::MAX, "task"),
                if ready == 1 { "s" } else { "" },
            ),
            (Some(_), Some(_)) if !is_services && ready > BEHIND => format!(
                "the daemon is behind: {} wait in {queue}",
                letters(ready.try_into().unwrap_or(usize::MAX), u32::MAX, "message"),
            ),
            (Some(_), Some(_) | None) => continue,
        };
        warnings.push(Warning {
            text,
            link: "/queues",
        });
    }
    warnings
}

/// `1 dead letter`, `2 dead letters`; where no more are counted, `at least 1 000 dead letters`.
fn letters(count: usize, counted: u32, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    let number = grouped(i64::try_from(count).unwrap_or(i64::MAX));
    let at_least = if usize::try_from(counted).is_ok_and(|most| count >= most) {
        "at least "
    } else {
        ""
    };
    format!("{at_least}{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::names::{QueueName, ServiceName};

    fn line(queue: &str, service: Option<&str>, depth: Option<(u32, u32)>) -> QueueLine {
        QueueLine {
            queue: QueueName::new(queue).expect("a name"),
            service: service.map(|name| ServiceName::new(name).expect("a name")),
            ready: depth.map(|depth| depth.0),
            consumers: depth.map(|depth| depth.1),
            dead: None,
            sent_per_minute: None,
            paused: None,
        }
    }

    #[test]
    fn queues_that_nobody_reads_and_daemons_that_are_behind_are_told() {
        let demo = |depth| line("demo", Some("demo"), depth);
        let tracking = |depth| line("platform.fifo", None, depth);
        for (line, begins) in [
            (
                demo(Some((3, 0))),
                "nobody consumes demo, in which 3 tasks wait",
            ),
            (demo(None), "the queue demo is missing"),
            (
                tracking(Some((1, 0))),
                "no daemon reads platform.fifo, in which 1 message waits",
            ),
            (tracking(Some((6000, 1))), "the daemon is behind"),
        ] {
            let told = of_queues(&[line]);
            assert!(told[0].text.starts_with(begins), "{told:?}");
        }
        let fine = [
            demo(Some((9000, 1))),
            demo(Some((0, 0))),
            tracking(Some((0, 0))),
        ];
        assert_eq!(of_queues(&fine), []);
    }
}
