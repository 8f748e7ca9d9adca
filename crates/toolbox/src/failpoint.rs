//! Points at which tests end a process, or let it hang: `COUNTERFOIL_FAILPOINT=committed:abort@3` ends
//! it without further ado when it has committed its third batch.
//!
//! The variable holds `<name>:<action>[@n]`, several of them separated by commas; the action happens
//! at the n-th hit, by default the first, and only then. Actions are `abort` (as a crash would),
//! `exit` (with code 3), `hang` (for ever: that one future, not its thread) and `panic`. The variable is read
//! at the first hit; one that makes no sense ends the process with code 78.
//!
//! Builds without debug assertions have none of this: there every call is empty.

/// Where a process can be made to end. This is the list of all points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Daemon: a batch has gathered and is not written yet.
    Buffered,
    /// Daemon: everything of a batch is written, and its transaction is still open.
    TxOpen,
    /// Daemon: a batch is committed, its messages are not acknowledged.
    Committed,
    /// Daemon: the messages of a batch are acknowledged, which the broker may not have heard.
    Acked,
    /// Application: the outbox holds a task, and the transaction is still open.
    OutboxInserted,
    /// Producer: a subtask of a session is confirmed.
    SubtaskSent,
    /// Relay: messages of the outbox are handed over to the broker and not confirmed.
    PublishWritten,
    /// Relay: messages of the outbox are confirmed and not marked as sent.
    ConfirmSeen,
    /// Relay: messages of the outbox are marked as sent.
    RelayMarked,
    /// Worker: a task was delivered and not looked at.
    Delivered,
    /// Worker: that a task begins which is acknowledged early is confirmed; its acknowledgement comes next.
    StartedReported,
    /// Worker: the handler is done, and nobody was told.
    HandlerDone,
    /// Worker: events, or what else goes on with a task, are handed over to the broker and not confirmed.
    EventWritten,
    /// Worker: events are confirmed, and what they end is not acknowledged.
    EventConfirmed,
    /// Worker: tasks are acknowledged, which the broker may not have heard.
    AckWritten,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Buffered,
        Self::TxOpen,
        Self::Committed,
        Self::Acked,
        Self::OutboxInserted,
        Self::SubtaskSent,
        Self::PublishWritten,
        Self::ConfirmSeen,
        Self::RelayMarked,
        Self::Delivered,
        Self::StartedReported,
        Self::HandlerDone,
        Self::EventWritten,
        Self::EventConfirmed,
        Self::AckWritten,
    ];

    /// Its name in the variable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::TxOpen => "tx-open",
            Self::Committed => "committed",
            Self::Acked => "acked",
            Self::OutboxInserted => "outbox-inserted",
            Self::SubtaskSent => "subtask-sent",
            Self::PublishWritten => "publish-written",
            Self::ConfirmSeen => "confirm-seen",
            Self::RelayMarked => "relay-marked",
            Self::Delivered => "delivered",
            Self::StartedReported => "started-reported",
            Self::HandlerDone => "handler-done",
            Self::EventWritten => "event-written",
            Self::EventConfirmed => "event-confirmed",
            Self::AckWritten => "ack-written",
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::hit;

/// Nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn hit(_: Point) -> std::future::Ready<()> {
    std::future::ready(())
}

#[cfg(debug_assertions)]
mod armed {
    use super::Point;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    const VARIABLE: &str = "COUNTERFOIL_FAILPOINT";

    /// Exit code of the action `exit`.
    const EXITED: i32 = 3;

    /// Exit code for a variable that makes no sense: configuration.
    const CONFIGURATION: i32 = 78;

    /// Passes a point: the process ends here, or hangs here, or nothing happens.
    pub async fn hit(point: Point) {
        // Each trap counts every hit.
        let sprung = armed().iter().filter_map(|trap| trap.spring(point));
        let Some(action) = sprung.reduce(|first, _| first) else {
            return;
        };
        let name = point.as_str();
        eprintln!("{VARIABLE}: {action:?} at {name}");
        match action {
            Action::Abort => std::process::abort(),
            Action::Exit => std::process::exit(EXITED),
            Action::Hang => std::future::pending().await,
            Action::Panic => panic!("a failpoint asks for it"),
        }
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        Abort,
        Exit,
        Hang,
        Panic,
    }

    #[derive(Debug)]
    struct Trap {
        point: Point,
        action: Action,
        /// At which hit it springs, counted from 1.
        at: u32,
        hits: AtomicU32,
    }

    impl Trap {
        /// What happens at this hit of `point`.
        fn spring(&self, point: Point) -> Option<Action> {
            let is_mine = point == self.point;
            let springs = is_mine && self.hits.fetch_add(1, Ordering::Relaxed) + 1 == self.at;
            springs.then_some(self.action)
        }
    }

    fn armed() -> &'static [Trap] {
        static ARMED: OnceLock<Vec<Trap>> = OnceLock::new();
        ARMED.get_or_init(|| {
            let text = std::env::var(VARIABLE).unwrap_or_default();
            read(&text).unwrap_or_else(|why| {
                eprintln!("{VARIABLE}: {why}");
                std::process::exit(CONFIGURATION)
            })
        })
    }

    fn read(text: &str) -> Result<Vec<Trap>, String> {
        let parts = text.split(',').map(str::trim);
        parts.filter(|part| !part.is_empty()).map(trap).collect()
    }

    fn trap(text: &str) -> Result<Trap, String> {
        let (name, action) = text
            .split_once(':')
            .ok_or_else(|| format!("`{text}` is not of the form <name>:<action>[@n]"))?;
        let (action, at) = action.split_once('@').unwrap_or((action, "1"));
        let named = |point: &Point| point.as_str() == name;
        let point = Point::ALL.into_iter().find(named).ok_or_else(|| {
            let all = Point::ALL.map(Point::as_str).join(", ");
            format!("there is no failpoint `{name}`; there are {all}")
        })?;
        let action = match action {
            "abort" => Action::Abort,
            "exit" => Action::Exit,
            "hang" => Action::Hang,
            "panic" => Action::Panic,
            other => return Err(format!("`{other}` is none of abort, exit, hang and panic")),
        };
        let at = at.parse().ok().filter(|at| *at > 0);
        let at = at.ok_or_else(|| format!("`{text}`: a hit is a number from 1 on"))?;
        Ok(Trap {
            point,
            action,
            at,
            hits: AtomicU32::new(0),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_trap_springs_once_at_its_hit_and_at_no_other_point() {
            let traps = read("committed:abort@2, acked:hang").expect("valid");
            let hits = |trap: usize, point| traps[trap].spring(point);
            assert_eq!(hits(0, Point::Acked), None);
            assert_eq!(hits(0, Point::Committed), None);
            assert_eq!(hits(0, Point::Committed), Some(Action::Abort));
            assert_eq!(hits(0, Point::Committed), None);
            assert_eq!(hits(1, Point::Acked), Some(Action::Hang));
            assert_eq!(read("").expect("nothing is armed").len(), 0);
        }

        #[test]
        fn every_point_can_be_named() {
            for point in Point::ALL {
                let name = point.as_str();
                let traps = read(&format!("{name}:exit")).expect("a name");
                assert_eq!(traps[0].point, point);
            }
        }

        #[test]
        fn what_makes_no_sense_is_named() {
            for (text, part) in [
                ("committed", "<name>:<action>"),
                ("comitted:abort", "no failpoint `comitted`; there are"),
                ("committed:explode", "`explode` is none of"),
                ("committed:abort@0", "a number from 1 on"),
                ("committed:abort@x", "a number from 1 on"),
            ] {
                let why = read(text).expect_err("refused");
                assert!(why.contains(part), "{why}");
            }
        }
    }
}
