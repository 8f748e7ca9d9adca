//! Panics of handlers: caught, with their message and the place where they happened.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

/// What is known of a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PanicNote {
    /// What the code said.
    pub(crate) message: String,
    /// File, line and column.
    pub(crate) location: Option<String>,
    /// Where it came from, when `RUST_BACKTRACE` asks for it.
    pub(crate) backtrace: Option<String>,
}

impl fmt::Display for PanicNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.location {
            Some(location) => write!(f, " at {location}"),
            None => Ok(()),
        }
    }
}

thread_local! {
    /// The latest panic of this thread. A catch follows on the thread that panicked.
    static LATEST: RefCell<Option<PanicNote>> = const { RefCell::new(None) };
}

/// Makes panics leave a note before whatever hook there was is called. Once per process.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let note = take_note(info);
            LATEST.with_borrow_mut(|latest| *latest = Some(note));
            previous(info);
        }));
    });
}

fn take_note(info: &PanicHookInfo<'_>) -> PanicNote {
    let backtrace = Backtrace::capture();
    PanicNote {
        message: text(info.payload()),
        location: info.location().map(ToString::to_string),
        backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
    }
}

/// Runs `code`; a panic comes back as a note.
pub(crate) fn catch<T>(code: impl FnOnce() -> T) -> Result<T, PanicNote> {
    panic::catch_unwind(AssertUnwindSafe(code)).map_err(note_of)
}

/// The note of a panic that was caught just now on this thread.
pub(crate) fn note_of(payload: Box<dyn Any + Send>) -> PanicNote {
    let message = text(&*payload);
    // A payload may be anything, even something that panics when it is dropped.
    if let Err(worse) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(worse);
    }
    let latest = LATEST.with_borrow_mut(Option::take);
    // `resume_unwind` calls no hook: then the latest note is of another panic.
    latest
        .filter(|latest| latest.message == message)
        .unwrap_or(PanicNote {
            message,
            location: None,
            backtrace: None,
        })
}

/// Goes on with a panic that was caught on another thread.
pub(crate) fn again(note: PanicNote) -> ! {
    let message = note.message.clone();
    LATEST.with_borrow_mut(|latest| *latest = Some(note));
    panic::resume_unwind(Box::new(message))
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is no text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_panic_has_message_and_place() {
        install_hook();
        let note = catch(|| panic!("boom {}", 7)).expect_err("panics");
        assert_eq!(note.message, "boom 7");
        let location = note.location.expect("the hook saw it");
        assert!(location.contains("panic.rs:"), "{location}");
    }

    #[test]
    fn payloads_of_any_type_are_survived() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in drop");
            }
        }
        install_hook();
        let note = catch(|| panic::panic_any(Bomb)).expect_err("panics");
        assert_eq!(note.message, "a value that is no text");
    }

    #[test]
    fn a_panic_without_a_hook_does_not_inherit_the_place_of_an_earlier_one() {
        install_hook();
        let _ = panic::catch_unwind(|| panic!("earlier"));
        let note = catch(|| panic::resume_unwind(Box::new("later"))).expect_err("unwinds");
        assert_eq!((note.message.as_str(), note.location), ("later", None));
    }
}
