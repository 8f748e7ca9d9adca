//! The daemon from outside: messages in, rows out. Each promise is tested on the broker in memory
//! with SQLite, and on RabbitMQ with PostgreSQL.

mod support;

mod aborts;
mod answers;
mod binary;
mod canaries;
mod celery;
mod control;
mod deaths;
mod doubles;
mod events;
mod feed;
mod health;
mod hostile;
mod metrics;
mod mirror;
mod missing;
mod outages;
mod outbox;
mod rescue;
mod retention;
mod schedules;
mod sessions;
mod several;
mod start;
mod tokens;
mod unroutable;
