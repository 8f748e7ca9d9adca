//! Batches of events, written as JSON while they gather.

use crate::held::Held;
use crate::metrics::{Unsent, Up};
use counterfoil_toolbox::event::Event;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// Events in one batch.
const MAX_EVENTS: usize = 500;

/// Bytes of one batch, unless a single event is larger.
const MAX_BYTES: usize = 1024 * 1024;

/// Room for a batch at its beginning: about 40 events.
const FIRST_BYTES: usize = 16 * 1024;

/// One message on the events exchange, and the tasks that are over once it is confirmed.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) service: Arc<str>,
    /// A JSON array that lacks its closing bracket.
    json: Vec<u8>,
    events: usize,
    log_bytes: usize,
    pub(super) finished: Vec<Arc<Held>>,
    /// All that was noted until then is in it, or in batches before it.
    pub(super) covers: Option<Instant>,
    /// Its events count as not sent.
    pub(super) unsent: Up,
}

impl Batch {
    fn new(service: &Arc<str>, unsent: Up) -> Self {
        Self {
            unsent,
            service: service.clone(),
            json: Vec::with_capacity(FIRST_BYTES),
            events: 0,
            log_bytes: 0,
            finished: Vec::new(),
            covers: None,
        }
    }

    /// Writes `event`; `false`: it does not fit any more. Returns its size through `len`.
    fn write(&mut self, event: &Event) -> Option<usize> {
        let start = self.json.len();
        self.json.push(if start == 0 { b'[' } else { b',' });
        serde_json::to_writer(&mut self.json, event).expect("memory takes every event");
        if self.json.len() > MAX_BYTES && self.events > 0 {
            self.json.truncate(start);
            return None;
        }
        self.events += 1;
        self.unsent.add();
        Some(self.json.len() - start)
    }

    /// The whole JSON array.
    pub(super) fn take_body(&mut self) -> Vec<u8> {
        self.json.push(b']');
        std::mem::take(&mut self.json)
    }
}

/// Batches that wait to be sent, in order. The last of each service takes its next event.
#[derive(Debug)]
pub(super) struct Batches {
    waiting: VecDeque<Batch>,
    unsent: Unsent,
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            unsent: Unsent::new(),
        }
    }
}

impl Batches {
    /// Adds an event of `service`, the last one of `finished` if that is given.
    pub(super) fn push(&mut self, service: &Arc<str>, event: &Event, finished: Option<Arc<Held>>) {
        let (batch, _) = self.write(service, event);
        batch.finished.extend(finished);
    }

    /// Adds a log line.
    pub(super) fn push_log(&mut self, service: &Arc<str>, event: &Event) {
        let (batch, bytes) = self.write(service, event);
        batch.log_bytes += bytes;
    }

    /// Bytes of the log lines of `service` that wait.
    pub(super) fn log_bytes(&self, service: &str) -> usize {
        let of_it = self.waiting.iter().filter(|b| *b.service == *service);
        of_it.map(|batch| batch.log_bytes).sum()
    }

    /// All that was noted until `now` has been written.
    pub(super) fn cover(&mut self, now: Instant) {
        if let Some(last) = self.waiting.back_mut() {
            last.covers = Some(now);
        }
    }

    /// Whether no batch waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The oldest batch, but for those of services that `stays` keeps here.
    pub(super) fn pop(&mut self, stays: impl Fn(&str) -> bool) -> Option<Batch> {
        let oldest = self.waiting.iter().position(|b| !stays(&b.service))?;
        let mut batch = self.waiting.remove(oldest)?;
        if oldest > 0 {
            batch.covers = None;
        }
        Some(batch)
    }

    fn write(&mut self, service: &Arc<str>, event: &Event) -> (&mut Batch, usize) {
        // Few services, and few batches: a walk from the end finds the open one at once.
        let last = self.waiting.iter().rposition(|b| b.service == *service);
        if let Some(at) = last.filter(|at| self.waiting[*at].events < MAX_EVENTS)
            && let Some(bytes) = self.waiting[at].write(event)
        {
            return (&mut self.waiting[at], bytes);
        }
        self.waiting
            .push_back(Batch::new(service, self.unsent.hold(0)));
        let batch = self.waiting.back_mut().expect("pushed just now");
        let bytes = batch.write(event).expect("the first event always fits");
        (batch, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::event::{EventKind, LogLine};
    use counterfoil_toolbox::state::Lineage;
    use counterfoil_toolbox::{TaskId, TaskName, TaskState};

    fn event(text: &str) -> Event {
        let name = TaskName::new("demo.add").expect("valid");
        let kind = EventKind::State(TaskState::Started);
        let mut event = Event::new(
            TaskId::random(),
            name,
            Lineage::default(),
            kind,
            chrono::Utc::now(),
        );
        event.log = Some(LogLine {
            level: "info".into(),
            message: text.to_owned(),
            fields: serde_json::Map::new(),
        });
        event
    }

    fn sizes(mut batches: Batches) -> Vec<(String, usize)> {
        std::iter::from_fn(|| batches.pop(|_| false))
            .map(|mut batch| {
                let body = batch.take_body();
                let events: Vec<Event> = serde_json::from_slice(&body).expect("a JSON array");
                (batch.service.to_string(), events.len())
            })
            .collect()
    }

    #[test]
    fn each_service_has_batches_of_its_own_of_at_most_five_hundred_events() {
        let (demo, export): (Arc<str>, Arc<str>) = ("demo".into(), "export".into());
        let mut batches = Batches::default();
        for _ in 0..501 {
            batches.push(&demo, &event(""), None);
        }
        batches.push(&export, &event(""), None);
        batches.push(&demo, &event(""), None);
        let wanted = [("demo", 500), ("demo", 2), ("export", 1)];
        assert_eq!(
            sizes(batches),
            wanted.map(|(service, n)| (service.to_owned(), n))
        );
    }

    #[test]
    fn a_batch_stays_below_a_mebibyte_unless_one_event_alone_is_larger() {
        let demo: Arc<str> = "demo".into();
        let mut batches = Batches::default();
        for len in [600_000, 300_000, 300_000, 2_000_000, 10] {
            batches.push(&demo, &event(&"x".repeat(len)), None);
        }
        let events: Vec<_> = sizes(batches).into_iter().map(|(_, n)| n).collect();
        assert_eq!(events, [2, 1, 1, 1]);
    }

    #[test]
    fn log_lines_count_for_their_service_until_they_leave() {
        let (demo, export): (Arc<str>, Arc<str>) = ("demo".into(), "export".into());
        let mut batches = Batches::default();
        batches.push_log(&demo, &event(&"x".repeat(1000)));
        batches.push_log(&export, &event(""));
        assert!(batches.log_bytes("demo") > 1000);
        assert!((1..1000).contains(&batches.log_bytes("export")));
        drop(batches.pop(|_| false));
        assert_eq!(batches.log_bytes("demo"), 0);
    }

    #[test]
    fn batches_that_stay_let_others_pass_and_go_on_growing() {
        let (demo, export): (Arc<str>, Arc<str>) = ("demo".into(), "export".into());
        let mut batches = Batches::default();
        let demo_stays = |service: &str| service == "demo";
        batches.push(&demo, &event(""), None);
        assert!(batches.pop(demo_stays).is_none());
        batches.push(&export, &event(""), None);
        let passed = batches.pop(demo_stays).expect("nothing keeps it");
        assert_eq!(passed.service, export);
        batches.push(&demo, &event(""), None);
        assert_eq!(sizes(batches), [("demo".to_owned(), 2)]);
    }
}
