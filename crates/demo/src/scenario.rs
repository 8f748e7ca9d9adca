//! A mixture of tasks of which it is known how each of them ends.
//!
//! It holds what happens to tasks in real life: most succeed, some after a retry or two, some have
//! children, and a few fail, panic, hang, have a wrong argument, or nobody who would run them.

use crate::tasks::{
    Add, ApiKey, Big, Block, Echo, ExportProject, Fail, FinalizeHarvest, Flaky, Hang,
    HarvestResource, OutputType, Panic, Progress, Sleep, Throttled, Tree,
};
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::producer::RawTask;
use counterfoil_toolbox::session::{SessionStatus, SessionSummary};
use counterfoil_toolbox::{Task, TaskName, TaskState};
use serde_json::{Value, json};

/// Service of the tasks that nobody runs. It must have no queue.
pub const NOBODY: &str = "nobody";

/// A task to send, and what must become of it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What to send.
    pub task: RawTask,
    /// The state in which it ends, or stays: an unroutable task waits for its service.
    pub expected: TaskState,
    /// The kind of its error, when there is exactly one that fits.
    pub fault: Option<FaultKind>,
    /// What its handler returns. `None`: nothing, or what cannot be known beforehand.
    pub result: Option<Value>,
    /// Tasks that it schedules, and those schedule in turn: all `demo.tree`, all successful.
    pub children: usize,
}

/// `n` tasks, always the same ones. The first 18 hold one of each kind of trouble.
///
/// Together they keep a worker of 64 handlers busy for a few seconds: the longest is one that
/// hangs until its time limit of 2 s, and there are at most two of those.
#[must_use]
pub fn plan(n: usize) -> Vec<Planned> {
    (0_u32..).take(n).map(nth).collect()
}

fn nth(i: u32) -> Planned {
    match i % 100 {
        3 => unknown_task(i),
        6 => wrong_argument(i),
        9 => unroutable(i),
        13 => failure(&Panic {
            message: format!("panic {i}"),
        }),
        17 if i < 200 => failure(&Hang {}),
        _ => usual(i),
    }
}

fn usual(i: u32) -> Planned {
    let few = i / 16 % 3;
    match i % 16 {
        0 => add_by_keyword(i),
        1 => echo(i),
        2 => export(i, OutputType::Csv),
        3 => sleep(i),
        4 => flaky(i, few + 1),
        5 => add_by_position(i),
        6 => tree(few + 1, 2),
        7 => block(),
        8 => progress(few + 3),
        9 => success(
            &HarvestResource {
                resource: format!("acme/source-{i}"),
            },
            None,
        ),
        10 => success(&Throttled { times: few + 1 }, Some(json!(few + 1))),
        11 => export(i, OutputType::GeoJson),
        12 => failure(&Fail {
            message: format!("order {i} cannot be filled"),
        })
        .of_kind(FaultKind::Exception),
        13 => success(&Big { bytes: 10_000 }, None),
        14 => add_by_both(i),
        _ => harvest(i, few),
    }
}

fn add_by_keyword(i: u32) -> Planned {
    let (x, y) = (i64::from(i), 1);
    success(&Add { x, y }, Some(json!(x + y)))
}

fn add_by_position(i: u32) -> Planned {
    let task = raw(Add::NAME, &json!([i, 2]), &json!({}));
    Planned::new(task, TaskState::Success).returning(json!(i + 2))
}

fn add_by_both(i: u32) -> Planned {
    let task = raw(Add::NAME, &json!([i]), &json!({ "y": 3 }));
    Planned::new(task, TaskState::Success).returning(json!(i + 3))
}

fn echo(i: u32) -> Planned {
    let value = json!({ "line": i, "words": ["äpfel", "\u{2713}", "\"quoted\""], "none": null });
    let text = serde_json::value::to_raw_value(&value).expect("a value is JSON");
    success(&Echo { value: text }, Some(value))
}

fn export(i: u32, output_type: OutputType) -> Planned {
    let task = ExportProject {
        org_slug: "acme".to_owned(),
        project_slug: format!("site-{}", i % 7),
        api_key: ApiKey::new("demo-key"),
        output_type,
    };
    success(&task, None)
}

fn sleep(i: u32) -> Planned {
    let seconds = 0.05 * f64::from(1 + i / 16 % 4);
    success(&Sleep { seconds }, Some(json!(seconds)))
}

fn block() -> Planned {
    let seconds = 0.05;
    success(&Block { seconds }, Some(json!(seconds)))
}

fn flaky(i: u32, failures: u32) -> Planned {
    let key = format!("line {i}");
    success(&Flaky { key, failures }, Some(json!(failures + 1)))
}

fn progress(steps: u32) -> Planned {
    let seconds = 0.2;
    success(&Progress { steps, seconds }, Some(json!(steps)))
}

fn tree(width: u32, depth: u32) -> Planned {
    let task = Tree { width, depth };
    let descendants = task.descendants().and_then(|all| usize::try_from(all).ok());
    Planned {
        children: descendants.expect("small trees only"),
        ..success(&task, Some(json!(width)))
    }
}

fn harvest(i: u32, which: u32) -> Planned {
    match which {
        0 => success(
            &HarvestResource {
                resource: format!("unchanged/source-{i}"),
            },
            None,
        ),
        1 => failure(&HarvestResource {
            resource: format!("missing/source-{i}"),
        })
        .of_kind(FaultKind::Exception),
        _ => {
            let session = SessionSummary {
                status: SessionStatus::CompletedWithErrors,
                total: 3,
                succeeded: 2,
                failed: 1,
                ..SessionSummary::default()
            };
            let report = "harvest ended as COMPLETED_WITH_ERRORS: 3 resources, 2 succeeded (0 skipped), 1 failed";
            success(
                &FinalizeHarvest { session },
                Some(json!({ "report": report })),
            )
        }
    }
}

fn unknown_task(i: u32) -> Planned {
    let task = raw("demo.unheard_of", &json!([]), &json!({ "line": i }));
    Planned::new(task, TaskState::Failure).of_kind(FaultKind::UnknownTask)
}

fn wrong_argument(i: u32) -> Planned {
    let task = raw(Add::NAME, &json!([i, 1]), &json!({ "colour": "red" }));
    Planned::new(task, TaskState::Failure).of_kind(FaultKind::BadArguments)
}

fn unroutable(i: u32) -> Planned {
    let name = format!("{NOBODY}.listens");
    Planned::new(raw(&name, &json!([i]), &json!({})), TaskState::Unroutable)
}

fn success<T: Task>(task: &T, result: Option<Value>) -> Planned {
    Planned {
        result,
        ..Planned::new(typed(task), TaskState::Success)
    }
}

fn failure<T: Task>(task: &T) -> Planned {
    Planned::new(typed(task), TaskState::Failure)
}

fn typed<T: Task>(task: &T) -> RawTask {
    let kwargs = serde_json::to_value(task).expect("the structs of the playground are JSON");
    raw(T::NAME, &json!([]), &kwargs)
}

fn raw(name: &str, args: &Value, kwargs: &Value) -> RawTask {
    RawTask {
        name: TaskName::new(name).expect("plain letters"),
        args: args.to_string(),
        kwargs: kwargs.to_string(),
    }
}

impl Planned {
    fn new(task: RawTask, expected: TaskState) -> Self {
        Self {
            task,
            expected,
            fault: None,
            result: None,
            children: 0,
        }
    }

    fn of_kind(self, kind: FaultKind) -> Self {
        let fault = Some(kind);
        Self { fault, ..self }
    }

    fn returning(self, result: Value) -> Self {
        let result = Some(result);
        Self { result, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn count(planned: &[Planned], wanted: impl Fn(&Planned) -> bool) -> usize {
        planned.iter().filter(|planned| wanted(planned)).count()
    }

    #[test]
    fn two_plans_of_one_length_are_the_same_and_a_shorter_one_is_its_beginning() {
        let text = |n| format!("{:?}", plan(n));
        assert_eq!(text(50), text(50));
        assert!(text(50).starts_with(text(49).trim_end_matches(']')));
        assert!(plan(0).is_empty());
    }

    #[test]
    fn eighteen_tasks_hold_every_kind_of_trouble_and_two_hundred_every_task_but_abort() {
        let few = plan(18);
        let has = |name| count(&few, |planned| planned.task.name.as_str() == name) > 0;
        assert!(has("demo.unheard_of") && has("demo.panic") && has("demo.hang"));
        assert!(has("nobody.listens"));
        assert_eq!(count(&few, |p| p.fault == Some(FaultKind::BadArguments)), 1);
        let mut names = BTreeMap::<String, usize>::new();
        for planned in plan(200) {
            *names.entry(planned.task.name.to_string()).or_default() += 1;
        }
        assert_eq!(names.remove("demo.abort"), None);
        // 15 harmless tasks, one that no worker knows, one that no service owns.
        assert_eq!(names.len(), 17, "{names:?}");
    }

    #[test]
    fn however_long_the_plan_at_most_two_tasks_hang() {
        let hangs = count(&plan(5000), |p| p.task.name.as_str() == Hang::NAME);
        assert_eq!(hangs, 2);
    }
}
