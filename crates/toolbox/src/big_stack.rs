//! A stack that survives hostile headers.
//!
//! The AMQP parser reads nested tables by recursion, without a limit: 7 KB of nested arrays in a
//! header overflow the 2 MB stack of the thread that reads the connection, and an overflow ends
//! the process. 256 MB survive the deepest nesting that fits a frame. Only pages that are used
//! cost memory.

use std::env;
use std::ffi::OsStr;
use std::io;

/// Where Rust reads the stack size of new threads from, once, at the first thread.
const VARIABLE: &str = "RUST_MIN_STACK";

/// Bytes that survive nesting as deep as a frame of 128 KB can hold, with room to spare.
const BYTES: u64 = 268_435_456;

/// Gives every thread of this process a big stack. Call it first in `main`, before any runtime.
///
/// Where `RUST_MIN_STACK` is missing or too small, the process replaces itself by itself, with the
/// same arguments, process id and open files. So set it in unit files and images to save a start.
///
/// ```
/// fn main() -> std::io::Result<()> {
///     counterfoil_toolbox::ensure_big_stack()?; // before there is any other thread
///     assert!(std::env::var_os("RUST_MIN_STACK").is_some());
///     Ok(())
/// }
/// ```
///
/// # Errors
/// When the process could not be replaced. It may go on: only hostile messages can harm it.
pub fn ensure_big_stack() -> io::Result<()> {
    if is_big(env::var_os(VARIABLE).as_deref()) {
        return Ok(());
    }
    start_again()
}

fn is_big(value: Option<&OsStr>) -> bool {
    value
        .and_then(OsStr::to_str)
        .and_then(|text| text.parse::<u64>().ok())
        .is_some_and(|bytes| bytes >= BYTES)
}

#[cfg(unix)]
fn start_again() -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    let mut arguments = env::args_os();
    let mut command = Command::new(env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Returns only when it failed.
    Err(command
        .args(arguments)
        .env(VARIABLE, BYTES.to_string())
        .exec())
}

#[cfg(not(unix))]
fn start_again() -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "set RUST_MIN_STACK=268435456 before the start",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Set in the process that the test below starts, which is this test binary once more.
    const CHILD: &str = "BIG_STACK_TEST_CHILD";

    #[test]
    fn a_missing_small_or_unreadable_stack_size_is_not_big_enough() {
        for small in [None, Some("2097152"), Some(""), Some("lots")] {
            assert!(!is_big(small.map(OsStr::new)), "{small:?}");
        }
        assert!(is_big(Some(OsStr::new("268435456"))));
        assert!(is_big(Some(OsStr::new("1000000000"))));
    }

    #[test]
    fn a_process_without_a_big_stack_becomes_one_with_it_and_keeps_its_id() {
        if env::var_os(CHILD).is_some() {
            eprintln!("pid {}", std::process::id());
            ensure_big_stack().expect("the test binary can be executed again");
            // Recursion as deep as 64 MB, on a thread that asks for no size of its own.
            let deep = std::thread::spawn(|| recurse(64 * 1024));
            assert_eq!(deep.join().expect("no overflow"), 64 * 1024);
            return;
        }
        let this =
            "big_stack::tests::a_process_without_a_big_stack_becomes_one_with_it_and_keeps_its_id";
        let child = Command::new(env::current_exe().expect("known"))
            .args(["--exact", this, "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .env_remove(VARIABLE)
            .output()
            .expect("starts");
        let said = String::from_utf8_lossy(&child.stderr);
        let mut pids: Vec<_> = said.lines().filter_map(|l| l.split_once("pid ")).collect();
        pids.iter_mut().for_each(|(before, _)| *before = "");
        assert!(child.status.success(), "{said}");
        assert_eq!(pids.len(), 2, "it started twice: {said}");
        pids.dedup();
        assert_eq!(pids.len(), 1, "as one process: {said}");
    }

    fn recurse(depth: usize) -> usize {
        let block = std::hint::black_box([0_u8; 1024]);
        if depth == 0 {
            return usize::from(block[0]);
        }
        recurse(depth - 1) + 1 + usize::from(block[1023])
    }
}
