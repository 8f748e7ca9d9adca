//! The playground over a broker in memory.

mod export;
mod family;
mod ledger;
mod program;
mod scenario;
mod stage;
mod tasks;
