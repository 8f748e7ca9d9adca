//! The worker's promises, on a broker in memory.

mod tasks;
mod world;

mod building;
mod misfits;
mod running;

mod retries;
mod time;

mod duplicates;
mod refusals;
mod reports;

mod draining;
mod families;
mod flow;
mod heartbeats;
mod queues;

mod on_rabbitmq;
mod own_nodes;
