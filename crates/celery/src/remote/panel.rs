//! The commands of a worker, by their names.

use super::answer::{Raised, nok, ok};
use super::arguments::Arguments;
use super::facts::Facts;
use super::queues::NewQueue;
use super::scheduled::Scheduled;
use crate::node::Node;
use counterfoil_worker::extension::Inside;
use serde_json::{Value, json};

/// What can be asked of a worker, and what it needs for that.
pub(super) struct Panel {
    pub(super) inside: Inside,
    pub(super) node: Node,
    /// Its name among nodes.
    pub(super) name: String,
    pub(super) facts: Facts,
    /// What it has put off.
    pub(super) scheduled: Scheduled,
}

/// What a command comes to.
#[derive(Debug)]
pub(super) enum Done {
    /// This is the answer.
    Answer(Value),
    /// The same, and then another queue is consumed.
    Consume(Value, NewQueue),
    /// The worker ends, and answers nothing.
    Over,
}

impl From<Value> for Done {
    fn from(answer: Value) -> Self {
        Self::Answer(answer)
    }
}

/// What a command comes to, or what it raises.
pub(super) type Outcome = Result<Done, Raised>;

impl Panel {
    /// Does what `method` asks. `clock` is the node's time.
    pub(super) fn run(&self, method: &str, arguments: &Arguments, clock: u64) -> Outcome {
        let answer = match method {
            "ping" => ok("pong"),
            "clock" => json!({ "clock": clock }),
            "hello" => self.hello(arguments)?,
            "stats" => self.stats(clock),
            "conf" | "dump_conf" => self.facts.conf(&self.inside),
            "report" => ok(self.facts.report(&self.inside)),
            "memsample" => self.facts.memory(),
            "memdump" => Value::from("- rss (psutil) : not sampled.\n"),
            "registered" | "dump_tasks" => self.registered(arguments),
            "active_queues" => self.active_queues(),
            "active" | "dump_active" => self.active(arguments),
            "reserved" | "dump_reserved" => self.reserved(),
            "scheduled" | "dump_schedule" => self.scheduled(),
            "query_task" => self.query_task(arguments)?,
            "revoked" | "dump_revoked" => self.revoked(),
            "revoke" => self.revoke(arguments)?,
            "terminate" => self.terminate(arguments)?,
            "revoke_by_stamped_headers" => self.revoke_by_stamped_headers(arguments)?,
            "rate_limit" => self.rate_limit(arguments)?,
            "time_limit" => self.time_limit(arguments),
            "pool_grow" => self.pool_grow(arguments)?,
            "pool_shrink" => self.pool_shrink(arguments)?,
            "autoscale" => return Err(Raised::value_error("Autoscale not enabled")),
            "pool_restart" => return Err(Raised::value_error("Pool restarts not enabled")),
            "objgraph" => nok("ImportError('Requires the objgraph library')"),
            "enable_events" => self.tell_of_tasks(true),
            "disable_events" => self.tell_of_tasks(false),
            "heartbeat" => {
                self.node.beat();
                Value::Null
            }
            "election" => Value::Null,
            "add_consumer" => return self.add_consumer(arguments),
            "cancel_consumer" => self.cancel_consumer(arguments)?,
            "shutdown" => {
                tracing::warn!(reason = "remote control", "asked to stop: draining");
                return Ok(Done::Over);
            }
            unknown => return Err(Raised::key_error(unknown)),
        };
        Ok(answer.into())
    }

    /// What a node asks that has just come: it tells what was revoked, and wants to know the same.
    fn hello(&self, arguments: &Arguments) -> Result<Value, Raised> {
        let from = arguments.text("from_node");
        let from = from.ok_or_else(|| Raised::missing("hello", "from_node"))?;
        if from == self.name {
            return Ok(Value::Null);
        }
        tracing::debug!(reason = super::cut(from), "another node of Celery has come");
        self.merge_revoked(&arguments.keys_or_texts("revoked"));
        Ok(json!({ "revoked": self.revoked(), "clock": self.node.tick() }))
    }

    fn tell_of_tasks(&self, whether: bool) -> Value {
        let before = self.node.tell_of_tasks(whether);
        let already = if before == whether { "already " } else { "" };
        let what = if whether { "enabled" } else { "disabled" };
        ok(format!("task events {already}{what}"))
    }

    /// Types of task that it knows, with some of what they are.
    fn registered(&self, arguments: &Arguments) -> Value {
        let with_builtin = arguments.is_true("builtins");
        let mut items = arguments.texts("taskinfoitems");
        if items.is_empty() {
            items = vec!["rate_limit".to_owned()];
        }
        let types = self.inside.task_types().into_iter();
        let types = types.filter(|it| with_builtin || it.name.service() != "celery");
        let told = types.map(|it| {
            let info = |item: &String| Some(format!("{item}={}", self.facts.item(&it, item)?));
            let infos: Vec<_> = items.iter().filter_map(info).collect();
            match infos.is_empty() {
                true => it.name.to_string(),
                false => format!("{} [{}]", it.name, infos.join(" ")),
            }
        });
        told.collect()
    }

    fn stats(&self, clock: u64) -> Value {
        let types = self.inside.task_types().into_iter();
        let begun = types.filter(|it| it.begun > 0);
        let total: serde_json::Map<_, _> = begun
            .map(|it| (it.name.to_string(), it.begun.into()))
            .collect();
        self.facts.stats(&self.inside, total, clock)
    }
}

/// What is wrong with a name that should be one of something.
pub(super) fn no_name(error: &dyn std::error::Error) -> Raised {
    Raised::value_error(&error.to_string())
}
