//! Tests of tasks and handlers, without a broker and a database.
//!
//! `platform` is the world around them · `scheduled` what was sent in it · `perform` runs one handler once,
//! and `performed` is what came of it.

mod platform;
mod scheduled;

mod perform;
mod performed;

pub use perform::Perform;
pub use performed::{Outcome, Performed};
pub use platform::{MemoryPlatform, TestWorker};
pub use scheduled::{Scheduled, ScheduledTask};
