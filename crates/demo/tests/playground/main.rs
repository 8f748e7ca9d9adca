//! The playground over a broker in memory.

mod export;
mod family;
mod ledger;
mod scenario;
mod stage;
mod tasks;
