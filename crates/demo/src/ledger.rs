//! The ledger: what really ran, for those who check it against what was recorded.
//!
//! One line per step, `<unix ms> <start|end> <task id> <rescue>.<retries>.<deliveries> <pid>`,
//! appended by one write each, so that many processes may share a file. A process that is killed
//! leaves a `start` without an `end`.

use chrono::Utc;
use counterfoil_toolbox::TaskId;
use counterfoil_toolbox::state::Lineage;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// Where steps of executions are written to; nowhere by default. Clones share the file.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    file: Option<Arc<File>>,
}

impl Ledger {
    /// The variable that names the file.
    pub const VARIABLE: &str = "COUNTERFOIL_DEMO_LEDGER";

    /// A ledger that appends to `path`.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            file: Some(Arc::new(file)),
        })
    }

    /// Notes that an execution starts; that it ended is noted when the entry is dropped, however
    /// the execution ended.
    #[must_use = "the execution ends when the entry is dropped"]
    pub fn enter(&self, task_id: &TaskId, lineage: Lineage) -> Option<Entry> {
        let entry = Entry {
            file: self.file.clone()?,
            task_id: task_id.clone(),
            lineage,
        };
        entry.write("start");
        Some(entry)
    }
}

/// An execution under way.
#[derive(Debug)]
pub struct Entry {
    file: Arc<File>,
    task_id: TaskId,
    lineage: Lineage,
}

impl Entry {
    fn write(&self, step: &str) {
        let Self {
            file,
            task_id,
            lineage,
        } = self;
        let now = Utc::now().timestamp_millis();
        let pid = std::process::id();
        let line = format!("{now} {step} {task_id} {lineage} {pid}\n");
        // One write: lines of several processes never mix.
        if let Err(error) = (&**file).write_all(line.as_bytes()) {
            tracing::error!(%task_id, %error, "could not write to the ledger");
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.write("end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_leaves_a_line_when_it_starts_and_one_when_it_ends_even_by_a_panic() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        let ledger = Ledger::open(&path).expect("opens");
        let id = TaskId::new("job 17").expect("an id");
        let lineage = Lineage {
            run: 0,
            rescue: 1,
            executions: 2,
            deliveries: 3,
            tries: 0,
        };
        let panicking = std::panic::catch_unwind(|| {
            let _entry = ledger.enter(&id, lineage);
            std::panic::resume_unwind(Box::new("enough"));
        });
        assert!(panicking.is_err());
        let text = std::fs::read_to_string(path).expect("written");
        let lines: Vec<_> = text.lines().collect();
        for (line, step) in lines.iter().zip(["start", "end"]) {
            let (at, rest) = line.split_once(' ').expect("a time");
            assert!(at.parse::<i64>().is_ok(), "{line}");
            assert_eq!(rest, format!("{step} job 17 1.2.3 {}", std::process::id()));
        }
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn without_a_file_nothing_is_noted() {
        let id = TaskId::random();
        assert!(Ledger::default().enter(&id, Lineage::default()).is_none());
    }
}
