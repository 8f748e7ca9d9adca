//! What code logs while a task runs, in the task's own log.

use crate::context::Context;
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Span, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context as Scope;
use tracing_subscriber::registry::LookupSpan;

/// Nobody pays for a layer that is not there.
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The execution whose span is being made.
    static BEGINNING: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// A layer that copies what is logged inside a task (`tracing::info!` in a handler, or in whatever it
/// calls) into the task's log, which the database keeps and `counterfoil task log` shows: down to
/// `level`, with the fields of each line. [`Context::log`] writes there too, without any layer.
///
/// Lines belong to a task by their span, so they are found in code that a handler spawns, if that
/// is instrumented with the current span.
///
/// ```
/// # use counterfoil_testkit::Perform;
/// # use counterfoil_toolbox::{config::TelemetrySettings, telemetry::init_logs_with};
/// # use counterfoil_worker::{Context, TaskError};
/// use counterfoil_worker::{Level, task_log};
/// # #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// # struct Import { rows: u32 }
/// # impl counterfoil_toolbox::Task for Import { const NAME: &'static str = "parcels.import"; type Output = u32; }
///
/// async fn import(task: Import, _: Context) -> Result<u32, TaskError> {
///     tracing::info!(rows = task.rows, "read");
///     Ok(task.rows)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// init_logs_with(&TelemetrySettings::default(), task_log(Level::INFO))?; // in `main`
/// let done = Perform::new(Import { rows: 3 }).by(|worker| worker.handle(import)).await?;
/// let line = done.log().find(|line| line.message == "read").expect("it is in the task's log");
/// assert_eq!(line.fields["rows"], 3);
/// # Ok(()) }
/// ```
#[must_use = "a layer does nothing until a subscriber has it"]
pub fn task_log<S>(level: Level) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    IS_INSTALLED.store(true, Ordering::Relaxed);
    TaskLog.with_filter(LevelFilter::from_level(level))
}

/// Makes the span of an execution, so that the layer knows which one it is of.
pub(crate) fn span_of(cx: &Context, make: impl FnOnce() -> Span) -> Span {
    if !IS_INSTALLED.load(Ordering::Relaxed) {
        return make();
    }
    BEGINNING.set(Some(cx.clone()));
    let span = make();
    // A span that nobody wants has not taken it.
    BEGINNING.take();
    span
}

/// The layer itself.
struct TaskLog;

impl<S> Layer<S> for TaskLog
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, scope: Scope<'_, S>) {
        // Nothing but the span of an execution is made while one begins.
        let Some(cx) = BEGINNING.take() else { return };
        if let Some(span) = scope.span(id) {
            span.extensions_mut().insert(cx);
        }
    }

    fn on_event(&self, event: &Event<'_>, scope: Scope<'_, S>) {
        let spans = scope.event_scope(event);
        let contexts = spans.into_iter().flatten();
        let mut contexts = contexts.filter_map(|span| span.extensions().get::<Context>().cloned());
        let Some(cx) = contexts.next() else { return };
        let mut line = Line::default();
        event.record(&mut line);
        let target = event.metadata().target();
        line.fields.insert("target".to_owned(), target.into());
        let level = *event.metadata().level();
        cx.log(level, line.message, Value::Object(line.fields));
    }
}

/// An event as a line of a task's log.
#[derive(Default)]
struct Line {
    message: String,
    fields: Map<String, Value>,
}

impl Line {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.set(field, text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.set(field, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN.
        self.set(
            field,
            Number::from_f64(value).map_or(Value::Null, Value::Number),
        );
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }
}
