//! The daemon that mirrors every task into the platform database.
//!
//! It reads the platform's queues (tracking copies, events, deaths, expired copies, unroutable
//! tasks, signs of life), merges what belongs to one task, writes batches in single transactions,
//! and acknowledges after the commit. What cannot be read is parked with its reason; an outage of
//! broker or database is waited out.
//!
//! Read `daemon` first, then `pump`, `gather` and `read`, then `commit` and `trust`; `leader` is what only one
//! of several daemons does.

mod aborts;
mod answers;
mod asks;
mod canary;
mod chords;
mod commit;
mod control;
mod daemon;
mod doubles;
mod error;
mod feeds;
mod gather;
pub mod health;
mod leader;
mod literal;
mod meaning;
mod metrics;
mod missing;
mod pump;
mod read;
mod relay;
mod reread;
mod rescue;
mod resend;
mod retention;
mod said;
pub mod schedule;
mod start;
mod sweep;
mod tokens;
mod trust;
mod watchdog;

pub use daemon::Daemon;
pub use error::SyncError;
pub use feeds::Feed;
pub use read::dead_letter;
pub use reread::read_again;
