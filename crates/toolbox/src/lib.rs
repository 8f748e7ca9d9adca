//! What two counterfoil processes must agree on.
//!
//! Names and ids ([`names`], [`ids`]), the [`Task`] trait, messages on the wire ([`message`]) and
//! state events ([`event`]), states and how they merge ([`state`]), exchanges and queues
//! ([`topology`]), and how messages travel ([`transport`]): over RabbitMQ (feature `amqp`) or
//! through a broker in memory.

pub mod answer;
pub mod backoff;
mod big_stack;
mod breaker;
pub mod call;
pub mod chance;
pub mod chord;
pub mod config;
pub mod control;
pub mod delay;
pub mod doctor;
pub mod error;
pub mod event;
pub mod failpoint;
pub mod heartbeat;
pub mod ids;
pub mod message;
pub mod names;
pub mod priority;
pub mod producer;
pub mod rate;
pub mod retention;
pub mod revoked;
pub mod sent;
pub mod session;
pub mod start;
pub mod state;
pub mod task;
pub mod telemetry;
pub mod text;
pub mod tokens;
pub mod topology;
pub mod transport;

pub use backoff::Backoff;
pub use big_stack::ensure_big_stack;
pub use ids::{SessionId, TaskId};
pub use names::{ServiceName, TaskName};
pub use priority::Priority;
pub use producer::Producer;
pub use rate::Rate;
pub use state::TaskState;
pub use task::{Ack, Task, TaskOptions};
