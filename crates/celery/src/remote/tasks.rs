//! The tasks that a worker has, as it tells of them.

use super::answer::Raised;
use super::arguments::Arguments;
use super::panel::Panel;
use super::python::repr;
use chrono::{DateTime, SecondsFormat, Utc};
use counterfoil_toolbox::message::{Envelope, Payload};
use counterfoil_toolbox::names::{ExchangeName, RoutingKey};
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

    /// Those that wait for their time, here or at the broker.
    pub(super) fn scheduled(&self) -> Value {
        let waiting = self.waiting_for_their_time().into_iter();
        let told = waiting.map(
            |(eta, info)| json!({"eta": iso(eta), "priority": PRIORITY_OF_TIMER, "request": info}),
        );
        told.collect()
    }

    fn waiting_for_their_time(&self) -> Vec<(DateTime<Utc>, Value)> {
        let tasks = self.inside.tasks().into_iter();
        let here = tasks.filter(|task| task.stage() == Stage::WaitsForItsTime);
        let mut all: Vec<_> = here
            .filter_map(|task| Some((task.envelope().eta?, self.info(&task, false))))
            .collect();
        // One that leaves just now is still here.
        let left = self.scheduled.after(Utc::now()).into_iter();
        let left = left.filter(|(_, info)| all.iter().all(|(_, known)| known["id"] != info["id"]));
        let left: Vec<_> = left.collect();
        all.extend(left);
        all.sort_by_key(|(eta, _)| *eta);
        all
    }

    pub(super) fn query_task(&self, arguments: &Arguments) -> Result<Value, Raised> {
        if arguments.get("ids").is_none() {
            return Err(Raised::missing("query_task", "ids"));
        }
        let ids = arguments.texts("ids");
        let is_asked = |id: &str| ids.iter().any(|asked| asked == id);
        let mut told = Map::new();
        for (_, info) in self.waiting_for_their_time() {
            if let Some(id) = info["id"].as_str().filter(|id| is_asked(id)) {
                told.insert(id.to_owned(), json!(["scheduled", info]));
            }
        }
        let tasks = self.inside.tasks().into_iter();
        for task in tasks.filter(|task| is_asked(task.envelope().id.as_str())) {
            let stage = match task.stage() {
                Stage::Runs(_) => "active",
                Stage::Waits => "reserved",
                Stage::WaitsForItsTime => "scheduled",
                Stage::HasEnded => "ready",
            };
            let info = json!([stage, self.info(&task, false)]);
            told.insert(task.envelope().id.to_string(), info);
        }
        Ok(Value::Object(told))
    }

    /// What is told of a task.
    fn info(&self, task: &HeldTask, safe: bool) -> Value {
        let told = Told {
            envelope: task.envelope(),
            payload: task.payload(),
            exchange: task.exchange(),
            routing_key: task.routing_key(),
            is_redelivered: task.is_redelivered(),
            is_acknowledged: task.is_acknowledged(),
            runs_since: match task.stage() {
                Stage::Runs(since) => Some(since),
                Stage::Waits | Stage::WaitsForItsTime | Stage::HasEnded => None,
            },
        };
        told.info(&self.name, safe)
    }
}

/// What a worker knows of a task that it has, or had.
pub(super) struct Told<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) payload: Option<&'a Payload>,
    pub(super) exchange: &'a ExchangeName,
    pub(super) routing_key: &'a RoutingKey,
    pub(super) is_redelivered: bool,
    pub(super) is_acknowledged: bool,
    pub(super) runs_since: Option<DateTime<Utc>>,
}

impl Told<'_> {
    /// As a node of this name tells of it.
    pub(super) fn info(&self, node: &str, safe: bool) -> Value {
        let envelope = self.envelope;
        let (args, kwargs) = arguments(self.payload, safe);
        let since = self.runs_since.map(seconds);
        json!({
            "id": envelope.id.as_str(),
            "name": name(envelope),
            "args": args,
            "kwargs": kwargs,
            "type": envelope.name.as_str(),
            "hostname": node,
            "time_start": since,
            "acknowledged": self.is_acknowledged,
            "delivery_info": {
                "exchange": self.exchange.as_str(),
                "routing_key": self.routing_key.as_str(),
                "priority": envelope.priority,
                "redelivered": self.is_redelivered,
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
fn arguments(payload: Option<&Payload>, safe: bool) -> (Value, Value) {
    let Some(payload) = payload else {
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
