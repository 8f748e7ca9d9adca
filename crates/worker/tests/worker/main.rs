//! The worker's promises, on a broker in memory.

#[macro_use]
mod world;
mod tasks;

mod blocking;
mod building;
mod misfits;
mod running;

mod checkpoints;
mod limits;
mod metrics;
mod retries;
mod time;

mod duplicates;
mod early;
mod extensions;
mod layers;
mod paced;
mod reconnecting;
mod refusals;
mod reports;
mod task_log;
mod traces;

mod control;
mod control_of_workers;
mod draining;
mod families;
mod flow;
mod heartbeats;
mod inside;
mod priorities;
mod queues;
mod sessions;
mod tokens;

mod control_on_rabbitmq;
mod on_rabbitmq;
mod own_nodes;
