//! A task as a message with its address: all that there is of it before a broker knows.

use super::error::SendError;
use super::options::SendOptions;
use super::raw::RawTask;
use crate::ids::{TaskId, hostname};
use crate::message::{Content, Envelope, encode, names};
use crate::names::{RoutingKey, TaskName};
use crate::sent::Stamps;
use crate::task::Task;
use crate::text::InvalidText;
use chrono::{DateTime, Utc};
use std::sync::{LazyLock, Mutex};

/// Largest body that is sent. Default limit of every reader too.
pub(super) const MAX_BODY: usize = 16 * 1024 * 1024;

/// Who sends, in every message: this process.
static ORIGIN: LazyLock<Box<str>> =
    LazyLock::new(|| format!("counterfoil{}@{}", std::process::id(), hostname()).into());

/// Who sends, as messages say it in `origin`: this process.
#[must_use]
pub fn origin() -> &'static str {
    &ORIGIN
}

/// When this process sent what.
static STAMPS: Mutex<Stamps> = Mutex::new(Stamps::new());

/// Why rows cannot keep it: what they cut would be equal to others.
fn bad_identifier(identifier: &str) -> Option<&'static str> {
    match identifier.len() {
        0 => Some("it is empty"),
        501.. => Some("it is longer than 500 bytes"),
        _ if identifier.contains('\0') => Some("it holds a NUL"),
        _ => None,
    }
}

/// A task that is not sent yet.
///
/// ```
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Export { project: String }
/// # impl counterfoil_toolbox::Task for Export { const NAME: &'static str = "export.project"; type Output = String; }
/// use chrono::Utc;
/// use counterfoil_toolbox::producer::{Draft, SendOptions};
///
/// let task = Export { project: "maps".to_owned() };
/// let draft = Draft::of(&task, SendOptions::new(), Utc::now())?;
/// assert_eq!(draft.task.service(), "export");
/// assert_eq!((draft.routing_key.as_str(), draft.due), ("export.project", None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Draft {
    /// The task's id.
    pub id: TaskId,
    /// The task's name.
    pub task: TaskName,
    /// The key with which it goes to the exchange of tasks when it is due.
    pub routing_key: RoutingKey,
    /// The message.
    pub content: Content,
    /// When it is due. `None`: at once.
    pub due: Option<DateTime<Utc>>,
}

impl Draft {
    /// Name that is to be unique among the living tasks of its type.
    #[must_use]
    pub fn identifier(&self) -> Option<&str> {
        self.content.headers.text(names::IDENTIFIER)
    }

    /// A typed task, written at `now`.
    ///
    /// # Errors
    /// [`SendError::Name`], [`SendError::Arguments`], [`SendError::TooLarge`], [`SendError::NoTime`].
    pub fn of<T: Task>(
        task: &T,
        options: SendOptions,
        now: DateTime<Utc>,
    ) -> Result<Self, SendError> {
        Self::new(RawTask::of(task)?, options.of_type::<T>(), now)
    }

    /// A task by name, its arguments as JSON text, written at `now`.
    ///
    /// ```
    /// use chrono::Utc;
    /// use counterfoil_toolbox::producer::{Draft, RawTask, SendOptions};
    ///
    /// let task = RawTask { name: "demo.add".parse()?, args: "[2, 3]".to_owned(), kwargs: "{}".to_owned() };
    /// let draft = Draft::new(task, SendOptions::new(), Utc::now())?;
    /// assert_eq!(draft.content.headers.text("id"), Some(draft.id.as_str()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SendError::TooLarge`]; [`SendError::NoTime`]; [`SendError::Name`] for an identifier that is empty, longer than 500 bytes or
    /// holds a NUL.
    pub fn new(task: RawTask, options: SendOptions, now: DateTime<Utc>) -> Result<Self, SendError> {
        let (due, class) = (options.due(now), options.priority.unwrap_or_default());
        if let Some(why) = options.identifier.as_deref().and_then(bad_identifier) {
            let identifier = options.identifier.as_deref().unwrap_or_default();
            return Err(InvalidText::new("identifier", identifier, why).into());
        }
        if let Some(limit) = options.time_limits.none() {
            return Err(SendError::NoTime {
                task: task.name,
                limit,
            });
        }
        let id = options.id_of(&task, now);
        let mut envelope = Envelope::new(id, task.name);
        options.fill(&mut envelope, now);
        envelope.origin = Some(ORIGIN.clone());
        let mut stamps = STAMPS
            .lock()
            .expect("no code panics while it holds the lock");
        envelope.sent_at = Some(stamps.next(now));
        drop(stamps);
        let mut content = encode(&envelope, &task.args, &task.kwargs);
        let Envelope { name, id, .. } = envelope;
        content.properties.timestamp = u64::try_from(now.timestamp()).ok();
        if content.body.len() > MAX_BODY {
            return Err(SendError::TooLarge {
                task: name,
                bytes: content.body.len(),
            });
        }
        Ok(Self {
            routing_key: class.route(&name),
            task: name,
            id,
            content,
            due,
        })
    }
}
