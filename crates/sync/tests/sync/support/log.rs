//! What the daemon's log says.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, OnceLock};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry;

/// Messages that this process logged since the first [`Log::listen`], without their fields.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Listens to all threads, for good: a test has its process to itself.
    pub(crate) fn listen() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let log = LOG.get_or_init(|| {
            let log = Self::default();
            let subscriber = registry().with(log.clone());
            tracing::subscriber::set_global_default(subscriber).expect("nobody else listens");
            log
        });
        log.clone()
    }

    /// How often it said this.
    pub(crate) fn count(&self, message: &str) -> usize {
        let said = self.0.lock().expect("nobody panics while writing");
        said.iter().filter(|said| said.starts_with(message)).count()
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        let mut said = self.0.lock().expect("nobody panics while writing");
        said.push(message.0);
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").expect("a string takes everything");
        }
    }
}
