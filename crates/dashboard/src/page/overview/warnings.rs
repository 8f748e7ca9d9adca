//! What operators should know without looking for it, in plain words.

use super::mirror::Mirror;
use crate::app::App;
use crate::query::encoded;
use crate::shown::{grouped, visible};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_operations::queues::QueueLine;
use counterfoil_operations::workers::is_alive;
use counterfoil_store::record::WorkerRow;
use counterfoil_store::{DiedSince, StoreError};

/// Messages that the daemon may have before it is called behind.
const BEHIND: u32 = 5000;

/// Letters of the last hour, and parked messages, that are counted.
const COUNTED: u32 = 1000;

/// Letters that died since so long ago tell that they grow.
const LATELY: TimeDelta = TimeDelta::minutes(10);

/// Services that are named where they do.
const NAMED: usize = 5;

/// Something that is not as it should be, and where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) text: String,
    /// Where it is shown.
    pub(super) link: String,
}

/// What is not as it should be.
///
/// # Errors
/// When the database does not answer. A broker that does not is a warning.
pub(super) async fn warnings(
    app: &App,
    workers: &[WorkerRow],
    mirror: Mirror,
    now: DateTime<Utc>,
) -> Result<Vec<Warning>, StoreError> {
    let mut warnings = of_workers(workers, now);
    warnings.extend(mirror.warning().map(|text| Warning {
        text,
        link: "/queues".to_owned(),
    }));
    match app.depths.lines(app).await {
        Ok(lines) => warnings.extend(of_queues(&lines)),
        Err(error) => warnings.push(Warning {
            text: format!("the broker cannot be asked: {}", visible(&error)),
            link: "/queues".to_owned(),
        }),
    }
    if !app.can_send() {
        let text = "nothing can be sent: the circuit breaker is open".to_owned();
        warnings.push(Warning {
            text,
            link: "/queues".to_owned(),
        });
    }
    let (since, lately) = (now - TimeDelta::hours(1), now - LATELY);
    let died = app.store.died_since(since, lately, COUNTED).await?;
    warnings.extend(of_deaths(died));
    let parked = app.store.count_parked(COUNTED).await?;
    if parked > 0 {
        let text = format!(
            "{} that the platform could not read",
            letters(parked, COUNTED, "message")
        );
        warnings.push(Warning {
            text,
            link: "/parked".to_owned(),
        });
    }
    Ok(warnings)
}

/// Where dead letters grow; else that there are some of the last hour. Pure.
fn of_deaths(mut died: Vec<DiedSince>) -> Vec<Warning> {
    let all: i64 = died.iter().map(|of| of.letters).sum();
    let lately: i64 = died.iter().map(|of| of.lately).sum();
    died.retain(|of| of.lately > 0);
    died.sort_by_key(|of| std::cmp::Reverse(of.lately));
    let growing = died.iter().take(NAMED).map(|of| Warning {
        text: format!(
            "dead letters of {} grow: +{}{} in the last 10 minutes",
            visible(&of.service),
            grouped(of.lately),
            // All that were counted are of these minutes: there may be others.
            if lately >= i64::from(COUNTED) {
                " or more"
            } else {
                ""
            }
        ),
        link: format!("/dead?service={}", encoded(&of.service)),
    });
    let mut warnings: Vec<_> = growing.collect();
    let others = died.len().saturating_sub(NAMED);
    let text = match (others, all > lately) {
        (1.., _) => Some(format!("dead letters of {others} more services grow")),
        (0, true) => Some(format!(
            "{} within the last hour",
            letters(all, COUNTED, "dead letter")
        )),
        (0, false) => None,
    };
    warnings.extend(text.map(|text| Warning {
        text,
        link: "/dead".to_owned(),
    }));
    warnings
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
            link: "/workers".to_owned(),
        })
    };
    if living == 0 {
        warn("no worker is heard of: nothing runs".to_owned());
    } else if silent > 0 {
        warn(format!(
            "{} fell silent without saying that {} end{}",
            letters(
                i64::try_from(silent).unwrap_or(i64::MAX),
                u32::MAX,
                "worker"
            ),
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
                letters(ready.into(), u32::MAX, "message"),
                if ready == 1 { "s" } else { "" },
            ),
            // Somebody knows.
            (Some(_), Some(0)) if line.paused == Some(true) => continue,
            (Some(_), Some(0)) if ready > 0 => format!(
                "nobody consumes {queue}, in which {} wait{}",
                letters(ready.into(), u32::MAX, "task"),
                if ready == 1 { "s" } else { "" },
            ),
            (Some(_), Some(_)) if !is_services && ready > BEHIND => format!(
                "the daemon is behind: {} wait in {queue}",
                letters(ready.into(), u32::MAX, "message"),
            ),
            (Some(_), Some(_) | None) => continue,
        };
        warnings.push(Warning {
            text,
            link: "/queues".to_owned(),
        });
    }
    warnings
}

/// `1 dead letter`, `2 dead letters`; where no more are counted, `at least 1 000 dead letters`.
fn letters(count: i64, counted: u32, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    let number = grouped(count);
    let at_least = if count >= i64::from(counted) {
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

    #[test]
    fn dead_letters_that_grow_are_told_by_service_and_others_by_their_number() {
        let died = |service: &str, letters, lately| DiedSince {
            service: service.to_owned(),
            letters,
            lately,
        };
        let told = |died: Vec<DiedSince>| -> Vec<String> {
            of_deaths(died).into_iter().map(|told| told.text).collect()
        };
        assert_eq!(told(vec![]), Vec::<String>::new());
        assert_eq!(
            told(vec![died("demo", 1, 0)]),
            ["1 dead letter within the last hour"]
        );
        assert_eq!(
            told(vec![died("demo", 2, 2), died("mail", 7, 5)]),
            [
                "dead letters of mail grow: +5 in the last 10 minutes",
                "dead letters of demo grow: +2 in the last 10 minutes",
                "9 dead letters within the last hour",
            ]
        );
        assert_eq!(
            told(vec![died("demo", 1000, 1000)]),
            ["dead letters of demo grow: +1\u{202f}000 or more in the last 10 minutes"]
        );
        let many = (0..9).map(|n| died(&format!("s{n}"), 3, 3)).collect();
        let told = told(many);
        assert_eq!(
            (told.len(), &*told[5]),
            (6, "dead letters of 4 more services grow")
        );
    }
}
