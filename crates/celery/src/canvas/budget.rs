//! How much one signature can make a worker do. Each limit is held before anything is copied: whoever writes a signature
//! says in a few bytes that many are to be copied often.

use counterfoil_toolbox::message::{HeaderValue, Headers};

/// Most tasks that follow after one, and most bytes of them: each has the result in it.
pub(super) const MOST: usize = 10_000;
const MOST_BYTES: usize = 256 << 20;

/// Longest message: nobody reads one that is longer.
const LONGEST: usize = 16 << 20;

/// Most bytes that are copied on the way to those messages, also what is in none of them.
const MOST_COPIED: usize = 1 << 30;

/// Longest text that becomes headers. A frame has room for 100 KiB of them, and six characters of JSON may be one byte.
const LONGEST_HEADERS: usize = 600 << 10;

/// What was done for a signature so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    tasks: usize,
    bytes: usize,
    copied: usize,
}

impl Budget {
    /// So many bytes are about to be copied.
    ///
    /// # Errors
    /// When that is too much.
    pub(super) fn copy(&mut self, bytes: usize) -> Result<(), String> {
        self.copied = self.copied.saturating_add(bytes);
        match self.copied > MOST_COPIED {
            false => Ok(()),
            true => Err(format!(
                "more than {} MiB would have to be copied for all tasks that follow: give them less, or use a session",
                MOST_COPIED >> 20
            )),
        }
    }

    /// A task with so many bytes is about to be written.
    ///
    /// # Errors
    /// When no message has room for it, or there are too many.
    pub(super) fn task(&mut self, bytes: usize) -> Result<(), String> {
        self.tasks(1, bytes)
    }

    /// So many tasks with so many bytes each are about to be written.
    ///
    /// # Errors
    /// The same.
    pub(super) fn tasks(&mut self, tasks: usize, bytes: usize) -> Result<(), String> {
        fits(bytes)?;
        let all = bytes.saturating_mul(tasks);
        self.copy(all)?;
        self.tasks = self.tasks.saturating_add(tasks);
        self.keep(all)
    }

    /// What its headers take, which is more than their text.
    ///
    /// # Errors
    /// When there is too much of them all.
    pub(super) fn headers(&mut self, headers: &Headers) -> Result<(), String> {
        self.keep(in_memory(headers))
    }

    fn keep(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(bytes);
        match self.tasks > MOST || self.bytes > MOST_BYTES {
            false => Ok(()),
            true => Err(format!(
                "there are more than {MOST} tasks that follow, or more than {} MiB of them: use a session",
                MOST_BYTES >> 20
            )),
        }
    }
}

/// Whether a message has room for so much.
///
/// # Errors
/// When none has.
pub(super) fn fits(bytes: usize) -> Result<(), String> {
    match bytes > LONGEST {
        false => Ok(()),
        true => Err(format!(
            "a task that follows takes {bytes} bytes with all that comes after it, and a message has room for {} MiB",
            LONGEST >> 20
        )),
    }
}

/// Whether so much text may become headers.
///
/// # Errors
/// When no message has room for them.
pub(super) fn fits_headers(bytes: usize) -> Result<(), String> {
    match bytes > LONGEST_HEADERS {
        false => Ok(()),
        true => Err(format!(
            "the headers and stamps of a task that follows take {bytes} bytes, and a message has room for 100 KiB"
        )),
    }
}

fn in_memory(headers: &Headers) -> usize {
    headers
        .iter()
        .map(|(name, value)| 24 + name.len() + of_value(value))
        .sum()
}

fn of_value(value: &HeaderValue) -> usize {
    let within = match value {
        HeaderValue::Null
        | HeaderValue::Bool(_)
        | HeaderValue::Int(_)
        | HeaderValue::Float(_)
        | HeaderValue::Timestamp(_) => 0,
        HeaderValue::Text(text) => text.len(),
        HeaderValue::Bytes(bytes) => bytes.len(),
        HeaderValue::List(items) => items.iter().map(of_value).sum(),
        HeaderValue::Table(table) => in_memory(table),
    };
    size_of::<HeaderValue>() + within
}
