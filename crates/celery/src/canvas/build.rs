//! Writing signatures down.

use super::options::Options;
use super::signature::{Kind, Signature};
use crate::json::raw;
use chrono::{DateTime, SecondsFormat, Utc};
use counterfoil_toolbox::message::HeaderValue;
use counterfoil_toolbox::names::QueueName;
use counterfoil_toolbox::producer::{RawTask, SendError};
use counterfoil_toolbox::{Task, TaskId};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A chain of signatures: each gets what the one before it returned. See [`Signature::chain`].
///
/// ```
/// use counterfoil_celery::{Signature, chain};
///
/// let sum = chain![Signature::task("calc.add").arg(2).arg(2), Signature::task("calc.add").arg(3)];
/// # assert!(serde_json::to_string(&sum).is_ok());
/// ```
#[macro_export]
macro_rules! chain {
    ($($step:expr),+ $(,)?) => {
        $crate::Signature::chain([$($step),+])
    };
}

impl Signature {
    /// One task, by its name, without arguments. [`Signature`] has an example.
    #[must_use]
    pub fn task(name: impl AsRef<str>) -> Self {
        Self::written(name.as_ref(), &raw(&json!([])), &raw(&json!({})), None)
    }

    /// One task with all its arguments, by their names. In a chain it has to be [immutable](Self::immutable), unless it
    /// leaves the first one out: what the task before it returned comes first.
    ///
    /// ```
    /// use counterfoil_celery::Signature;
    /// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// # struct Add { x: i64, y: i64 }
    /// # impl counterfoil_toolbox::Task for Add { const NAME: &'static str = "calc.add"; type Output = i64; }
    ///
    /// let add = Signature::of(&Add { x: 2, y: 3 })?;
    /// assert_eq!(serde_json::to_value(&add)?["kwargs"]["y"], 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SendError::Name`], [`SendError::Arguments`].
    pub fn of<T: Task>(task: &T) -> Result<Self, SendError> {
        let RawTask { name, args, kwargs } = RawTask::of(task)?;
        let [args, kwargs] = [args, kwargs]
            .map(|json| RawValue::from_string(json).expect("what was written as JSON is JSON"));
        Ok(Self::written(name.as_str(), &args, &kwargs, None))
    }

    /// One after the other: each gets what the one before it returned, before its own arguments. A group with a step
    /// after it is the header of a [chord](Self::chord).
    ///
    /// ```
    /// use counterfoil_celery::Signature;
    ///
    /// let add = |n: i64| Signature::task("calc.add").arg(n);
    /// let sum = Signature::chain([add(2).arg(2), add(3), add(4)]); // 11
    /// # assert!(serde_json::to_string(&sum).is_ok());
    /// ```
    #[must_use]
    pub fn chain(steps: impl IntoIterator<Item = Self>) -> Self {
        let steps: Vec<_> = steps.into_iter().collect();
        Self::around("chain", &BTreeMap::from([("tasks", steps)]))
    }

    /// Tasks that run at the same time.
    ///
    /// ```
    /// use counterfoil_celery::Signature;
    ///
    /// let page = |n: i64| Signature::task("harvest.page").arg(n);
    /// let pages = Signature::group((1..=20).map(page));
    /// # assert!(serde_json::to_string(&pages).is_ok());
    /// ```
    #[must_use]
    pub fn group(members: impl IntoIterator<Item = Self>) -> Self {
        let members: Vec<_> = members.into_iter().collect();
        Self::group_of(&members.iter().collect::<Vec<_>>())
    }

    /// A group, and what gets the list of its results once all of it is done.
    ///
    /// ```
    /// use counterfoil_celery::Signature;
    ///
    /// let page = |n: i64| Signature::task("harvest.page").arg(n);
    /// let all = Signature::chord((1..=20).map(page), Signature::task("harvest.finish"));
    /// # assert!(serde_json::to_string(&all).is_ok());
    /// ```
    #[must_use]
    pub fn chord(header: impl IntoIterator<Item = Self>, body: Self) -> Self {
        Self::chord_of(&Self::group(header), &body)
    }

    /// With one argument more, after those that it has.
    #[must_use]
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        // Of one that came from elsewhere and has no list there, the fault is told when it is called.
        if let Ok(mut args) = self.args() {
            args.push(raw(&value.into()));
            self.set_part("args", &args);
        }
        self
    }

    /// With an argument by its name.
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        if let Ok(mut kwargs) = self.kwargs() {
            kwargs.insert(name.into(), raw(&value.into()));
            self.set_part("kwargs", &kwargs);
        }
        self
    }

    /// Called without what the task before it returned.
    #[must_use]
    pub fn immutable(mut self) -> Self {
        self.set_part("immutable", &true);
        self
    }

    /// Calls this with its result once it is done. Of a chain that is its last step, of a chord its body.
    #[must_use]
    pub fn link(self, callback: Self) -> Self {
        self.linked("link", callback)
    }

    /// Calls this with the id of the task that failed, should one fail: of a chain or group any of it.
    #[must_use]
    pub fn link_error(self, errback: Self) -> Self {
        self.linked("link_error", errback)
    }

    /// With this id. Default: a new one each time that it is called.
    #[must_use]
    pub fn id(self, id: &TaskId) -> Self {
        self.option("task_id", id)
    }

    /// To the service or queue of this name. Default: to the service that the first part of its name says.
    #[must_use]
    pub fn queue(self, queue: &QueueName) -> Self {
        self.option("queue", queue.as_str())
    }

    /// Not before this time has passed since it was called.
    #[must_use]
    pub fn countdown(self, wait: Duration) -> Self {
        self.option("countdown", &wait.as_secs_f64())
    }

    /// Not before this time.
    #[must_use]
    pub fn eta(self, time: DateTime<Utc>) -> Self {
        self.option("eta", &iso(time))
    }

    /// Not after this time.
    #[must_use]
    pub fn expires(self, time: DateTime<Utc>) -> Self {
        self.option("expires", &iso(time))
    }

    /// How long it may run: then it is ended. Default: as long as its type says.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        self.option("time_limit", &limit.as_secs_f64())
    }

    /// After how long it is asked to end. Default: as its type says.
    #[must_use]
    pub fn soft_time_limit(self, limit: Duration) -> Self {
        self.option("soft_time_limit", &limit.as_secs_f64())
    }

    /// Of a chord: how long its header may take once it was called, in whole seconds. Then the body fails with a
    /// `ChordError`, and what is left of the header goes on for nothing. Default: as long as it likes.
    #[must_use]
    pub fn wait_at_most(self, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000);
        self.option("interval", &1)
            .option("max_retries", &u64::try_from(seconds).unwrap_or(u64::MAX))
    }

    /// Nobody asks for its result.
    #[must_use]
    pub fn ignore_result(self) -> Self {
        self.option("ignore_result", &true)
    }

    /// With a header of the sender's own. Names of Celery's headers and of counterfoil's are not taken.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: &HeaderValue) -> Self {
        self.change(|options| options.set_header(name, &value.to_json()));
        self
    }

    /// Puts a stamp on it and on all that it calls, by which it can be revoked:
    /// <https://docs.celeryq.dev/en/stable/userguide/canvas.html#stamping>.
    #[must_use]
    pub fn stamp(mut self, name: &str, value: impl Into<Value>) -> Self {
        // Of one that is nested too deep, the fault is told when it is called.
        if self.is_flat_enough().is_ok() {
            self.put_stamp(name, &value.into());
        }
        self
    }

    /// With any option that Celery knows: <https://docs.celeryq.dev/en/stable/userguide/calling.html>.
    #[must_use]
    pub fn option(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        self.change(|options| options.set(name, value));
        self
    }
}

impl Signature {
    /// A plain one.
    pub(super) fn plain(task: &str, args: &[Box<RawValue>], kwargs: &Value) -> Self {
        Self::written(task, &raw(args), &raw(kwargs), None)
    }

    /// Calls it with the items of each of these, one after the other.
    pub(crate) fn each_of(&self, items: &[Box<RawValue>]) -> Self {
        let kwargs = BTreeMap::from([("task", raw(self)), ("it", raw(items))]);
        let mut starmap = Self::written("celery.starmap", &raw(&json!([])), &raw(&kwargs), None);
        starmap.set_part("immutable", &true);
        starmap
    }

    /// Several as one group.
    pub(super) fn group_of(members: &[&Self]) -> Self {
        Self::around("group", &BTreeMap::from([("tasks", members)]))
    }

    /// A group, and the task that gets its results.
    pub(super) fn chord_of(header: &Self, body: &Self) -> Self {
        Self::around(
            "chord",
            &BTreeMap::from([("header", header), ("body", body)]),
        )
    }

    fn around(kind: &str, kwargs: &impl Serialize) -> Self {
        let name = format!("celery.{kind}");
        Self::written(&name, &raw(&json!([])), &raw(kwargs), Some(kind))
    }

    /// With all parts that Celery writes.
    fn written(task: &str, args: &RawValue, kwargs: &RawValue, kind: Option<&str>) -> Self {
        Self::of_parts([
            ("task", raw(task)),
            ("args", args.to_owned()),
            ("kwargs", kwargs.to_owned()),
            ("options", raw(&json!({}))),
            ("subtask_type", raw(&kind)),
            ("immutable", raw(&false)),
        ])
    }

    fn linked(mut self, name: &str, signature: Self) -> Self {
        self.change(|options| {
            // What is no list of signatures is told of when it is called.
            let _ = options.link(name, &[signature]);
        });
        self
    }

    pub(super) fn change(&mut self, change: impl FnOnce(&mut Options)) {
        if let Ok(mut options) = self.options() {
            change(&mut options);
            self.set_part("options", &options);
        }
    }

    /// Changes all that it calls, if it calls others.
    pub(super) fn change_within(&mut self, change: &mut impl FnMut(&mut Self)) {
        let Ok(mut kwargs) = self.kwargs() else {
            return;
        };
        let (one, many): (&[&str], &[&str]) = match self.kind() {
            Ok(Kind::Group(_) | Kind::Chain(_)) => (&[], &["tasks"]),
            Ok(Kind::Chord) => (&["body", "header"], &["header"]),
            Ok(Kind::Task) | Err(_) => return,
        };
        for name in many {
            let list = kwargs
                .get(*name)
                .map(|list| serde_json::from_str(list.get()));
            if let Some(Ok(mut list)) = list {
                let within: &mut Vec<Self> = &mut list;
                within.iter_mut().for_each(&mut *change);
                kwargs.insert((*name).to_owned(), raw(&list));
            }
        }
        for name in one {
            let within = kwargs.get(*name).map(|one| serde_json::from_str(one.get()));
            if let Some(Ok(mut within)) = within {
                change(&mut within);
                kwargs.insert((*name).to_owned(), raw(&within));
            }
        }
        self.set_part("kwargs", &kwargs);
    }

    fn put_stamp(&mut self, name: &str, value: &Value) {
        self.change(|options| {
            let names = options.value("stamped_headers").unwrap_or_default();
            let mut names: Vec<String> = serde_json::from_value(names).unwrap_or_default();
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
            options.set("stamped_headers", &names);
            options.set(name, value);
        });
        self.change_within(&mut |within| within.put_stamp(name, value));
    }
}

fn iso(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, false)
}
