//! What a handler can know of its own call as Celery's tasks know it by `self.request`.

use crate::canvas::{Embed, Signature};
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_worker::{Context, TaskError};
use serde_json::{Map, Value};

/// What a message of Celery's says of its task that counterfoil itself has no use for: where it stands in groups, chains
/// and chords, and what is called after it. The rest of Celery's `self.request` is here:
///
/// | `self.request.…` | in a handler |
/// |---|---|
/// | `id`, `task`, `root_id`, `parent_id` | [`Context::task_id`], [`Context::task_name`], [`Context::root_id`], [`Context::parent_id`] |
/// | `retries` | [`Context::lineage`]: `retries()` |
/// | `args`, `kwargs` | [`Context::message`]: `payload`, as JSON |
/// | `delivery_info` | [`Context::message`]: `exchange`, `routing_key`, `redelivered`, and `envelope.priority` |
/// | `eta`, `expires`, `time_limit`, `soft_time_limit`, `reply_to`, `origin`, `ignore_result` | [`Context::message`]: `envelope` |
/// | `headers` | [`Context::message`]: `envelope.extra` |
/// | `properties`, `correlation_id` | [`Context::properties`] |
/// | `hostname` | [`Context::message`]: `worker` |
/// | `is_eager`, `called_directly` | never: a handler runs in a worker |
///
/// ```
/// use counterfoil_celery::Request;
/// # use counterfoil_testkit::Perform;
/// # use counterfoil_worker::{Context, TaskError};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Import { rows: u32 }
/// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = bool; }
/// async fn import(task: Import, cx: Context) -> Result<bool, TaskError> {
///     let request = Request::of(&cx)?;
///     Ok(request.chord.is_some()) // whether others wait for its result
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let done = Perform::new(Import { rows: 3 }).by(|worker| worker.handle(import)).await?;
/// assert_eq!(done.output(), &false);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// The group that it is a member of.
    pub group: Option<TaskId>,
    /// Its place there. The first: 0.
    pub group_index: Option<i64>,
    /// The body of the chord in whose header it is.
    pub chord: Option<Signature>,
    /// What is called with its result.
    pub callbacks: Vec<Signature>,
    /// What is called when it fails.
    pub errbacks: Vec<Signature>,
    /// The steps after it in its chain, the next one first.
    pub chain: Vec<Signature>,
    /// How many tasks it stands in the place of, one after the other (`Task.replace`).
    pub replaced_task_nesting: i64,
    /// What it is stamped with, by name.
    pub stamps: Map<String, Value>,
}

impl Request {
    /// That of the task which a handler runs.
    ///
    /// # Errors
    /// Fails the task, where its message says of all this what Celery does not write.
    pub fn of(cx: &Context) -> Result<Self, TaskError> {
        let message = cx.message();
        let embed = Embed::of(&message);
        let read = embed.and_then(|embed| Self::read(message.envelope, embed));
        read.map_err(TaskError::fail)
    }

    fn read(task: &Envelope, embed: Embed) -> Result<Self, String> {
        let Embed {
            callbacks,
            errbacks,
            mut chain,
            chord,
        } = embed;
        chain.reverse();
        let chord = chord.map(|chord| serde_json::from_str(chord.get()));
        let chord = chord.transpose();
        let extra = &task.extra;
        let group = extra.text("group").map(TaskId::new).transpose();
        let stamps = extra.get("stamps").map(|stamps| stamps.to_json());
        Ok(Self {
            group: group.map_err(|error| format!("its group cannot be read: {error}"))?,
            group_index: extra.int("group_index"),
            chord: chord.map_err(|error| format!("its chord cannot be read: {error}"))?,
            callbacks,
            errbacks,
            chain,
            replaced_task_nesting: extra.int("replaced_task_nesting").unwrap_or(0),
            stamps: match stamps {
                Some(Value::Object(stamps)) => stamps,
                Some(_) | None => Map::new(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::header;
    use counterfoil_toolbox::message::{Content, TaskMessage};
    use serde_json::json;

    /// What a handler is told of a message that Celery sent.
    fn of_captured(message: &Value) -> Request {
        let body = message["body_raw"].as_str().expect("text").to_owned();
        let mut content = Content::json(body);
        for (name, value) in message["headers"].as_object().expect("headers") {
            content.headers.push(name.clone(), header(value));
        }
        let task = TaskMessage::decode(&content).expect("a task");
        let embed = Embed::read(task.payload.embed()).expect("what follows");
        Request::read(&task.envelope, embed).expect("what Celery writes")
    }

    fn captured(text: &str) -> Value {
        serde_json::from_str::<Value>(text).expect("JSON")["sample"].take()
    }

    #[test]
    fn a_member_of_a_chords_header_knows_its_group_and_the_body() {
        let message = captured(include_str!(
            "../../toolbox/tests/samples/task-chord-header-member.json"
        ));
        let request = of_captured(&message);
        let group = request.group.as_ref().map(TaskId::as_str);
        assert_eq!(group, message["headers"]["group"].as_str());
        assert_eq!(request.group_index, Some(0));
        let chord = serde_json::to_value(request.chord).expect("JSON");
        assert_eq!(chord, message["body"][2]["chord"]);
        assert!(request.chain.is_empty() && request.stamps.is_empty());
    }

    #[test]
    fn a_step_of_a_chain_knows_the_steps_after_it_in_their_order_and_its_stamps() {
        let text = include_str!("../../toolbox/tests/samples/task-stamped-chain-all-steps.json");
        let mut message = captured(text)[0].take();
        // The last one first, as Celery writes them.
        let step = |name: &str| json!({"task": name, "args": [], "kwargs": {}, "options": {}});
        let embed = json!({"chain": [step("tasks.last"), step("tasks.next")]});
        message["body_raw"] = json!([[1, 1], {}, embed]).to_string().into();
        let request = of_captured(&message);
        let names = request
            .chain
            .iter()
            .map(|step| step.name().expect("a name"));
        let names: Vec<_> = names.map(|name| name.to_string()).collect();
        assert_eq!(names, ["tasks.next", "tasks.last"]);
        assert_eq!(Value::Object(request.stamps), json!({"mtag": "abc"}));
        assert!(request.chord.is_none() && request.group.is_none());
    }
}
