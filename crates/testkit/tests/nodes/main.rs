//! The ground that all other tests stand on: servers that start, survive, and leave nothing behind.

mod amqp;
mod cleanup;
mod database;
mod functional;
mod postgres;
mod rabbit;
mod vhost;
