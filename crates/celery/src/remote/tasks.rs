//! The tasks that a worker has, as it tells of them.

use super::answer::Raised;
use super::arguments::Arguments;
use super::panel::Panel;
use super::python::repr;
use chrono::{DateTime, SecondsFormat, Utc};
use counterfoil_toolbox::message::Envelope;
use counterfoil_worker::extension::{HeldTask, Stage};
use serde_json::{Map, Value, json};

/// Arguments that are told as they are: of longer ones so much as text. One answer tells of all tasks, and every number in
/// it takes more room than its text.
const LONGEST_ARGUMENTS: usize = 64 * 1024;
const CUT_AT: usize = 1024;

/// The priority of what waits for its time, in Celery's timer.
const PRIORITY_OF_TIMER: u8 = 6;

impl Panel {
    pub(super) fn active(&self, arguments: &Arguments) -> Value {
        let safe = arguments.is_true("safe");
        let tasks = self.inside.tasks().into_iter();
        let running = tasks.filter(|task| matches!(task.stage(), Stage::Runs(_)));
        running.map(|task| self.info(&task, safe)).collect()
    }

    pub(super) fn reserved(&self) -> Value {
        let tasks = self.inside.tasks().into_iter();
        let waiting = tasks.filter(|task| task.stage() == Stage::Waits);
        waiting.map(|task| self.info(&task, false)).collect()
    }

    pub(super) fn scheduled(&self) -> Value {
        let tasks = self.inside.tasks().into_iter();
        let scheduled = tasks.filter(|task| task.stage() == Stage::WaitsForItsTime);
        let told = scheduled.map(|task| {
            json!({
                "eta": task.envelope().eta.map(iso),
                "priority": PRIORITY_OF_TIMER,
                "request": self.info(&task, false),
            })
        });
        told.collect()
    }

    pub(super) fn query_task(&self, arguments: &Arguments) -> Result<Value, Raised> {
        if arguments.get("ids").is_none() {
            return Err(Raised::missing("query_task", "ids"));
        }
        let ids = arguments.texts("ids");
        let tasks = self.inside.tasks().into_iter();
        let asked = tasks.filter(|task| ids.iter().any(|id| id == task.envelope().id.as_str()));
        let told = asked.map(|task| {
            let stage = match task.stage() {
                Stage::Runs(_) => "active",
                Stage::Waits => "reserved",
                Stage::WaitsForItsTime => "scheduled",
                Stage::HasEnded => "ready",
            };
            let told = json!([stage, self.info(&task, false)]);
            (task.envelope().id.to_string(), told)
        });
        Ok(Value::Object(told.collect::<Map<_, _>>()))
    }

    /// What is told of a task.
    fn info(&self, task: &HeldTask, safe: bool) -> Value {
        let envelope = task.envelope();
        let (args, kwargs) = arguments(task, safe);
        let since = match task.stage() {
            Stage::Runs(since) => Some(seconds(since)),
            Stage::Waits | Stage::WaitsForItsTime | Stage::HasEnded => None,
        };
        json!({
            "id": envelope.id.as_str(),
            "name": name(envelope),
            "args": args,
            "kwargs": kwargs,
            "type": envelope.name.as_str(),
            "hostname": self.name,
            "time_start": since,
            "acknowledged": task.is_acknowledged(),
            "delivery_info": {
                "exchange": task.exchange().as_str(),
                "routing_key": task.routing_key().as_str(),
                "priority": envelope.priority,
                "redelivered": task.is_redelivered(),
            },
            "worker_pid": since.map(|_| std::process::id()),
        })
    }
}

/// What a task is called: what its sender says, or its type.
fn name(envelope: &Envelope) -> &str {
    let shadow = envelope.extra.text("shadow");
    let shadow = shadow.filter(|shadow| !shadow.is_empty());
    shadow.unwrap_or(envelope.name.as_str())
}

/// By position and by name: as they are, or safe to be printed.
fn arguments(task: &HeldTask, safe: bool) -> (Value, Value) {
    let Some(payload) = task.payload() else {
        return (Value::Null, Value::Null);
    };
    let cut = |json: &str| format!("{}...", &json[..json.floor_char_boundary(CUT_AT)]).into();
    let read = |json: &str| match json.len() > LONGEST_ARGUMENTS {
        false => serde_json::from_str(json).unwrap_or_else(|_| Value::from(json)),
        true => cut(json),
    };
    let (args, kwargs) = (read(payload.args()), read(payload.kwargs()));
    match safe {
        true => (tuple(&args).into(), repr(&kwargs).into()),
        false => (args, kwargs),
    }
}

/// As Python prints arguments by position.
fn tuple(args: &Value) -> String {
    match args.as_array().map(Vec::as_slice) {
        Some([one]) => format!("({},)", repr(one)),
        Some(items) => {
            let items: Vec<_> = items.iter().map(repr).collect();
            format!("({})", items.join(", "))
        }
        None => repr(args),
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "microseconds since 1970 fit a float's digits for centuries"
)]
fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_micros() as f64 / 1e6
}

/// As Python prints it: without a fraction where there is none.
fn iso(at: DateTime<Utc>) -> String {
    let fraction = match at.timestamp_subsec_micros() {
        0 => SecondsFormat::Secs,
        _ => SecondsFormat::Micros,
    };
    at.to_rfc3339_opts(fraction, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_times_are_printed_as_python_prints_them() {
        assert_eq!(tuple(&json!([1])), "(1,)");
        assert_eq!(tuple(&json!([])), "()");
        assert_eq!(tuple(&json!([1, "a", null])), "(1, 'a', None)");
        let at = DateTime::from_timestamp(1_800_000_000, 500_000_000).expect("a time");
        assert_eq!(iso(at), "2027-01-15T08:00:00.500000+00:00");
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        assert_eq!(iso(at), "2027-01-15T08:00:00+00:00");
    }
}
