//! End-to-end tests, a module per promise, on real servers and with real processes.

mod again;
mod audit;
mod bench;
mod celery;
mod chart;
mod control;
mod crashes;
mod family;
mod full;
mod hostile;
mod kubernetes;
mod listener;
mod missing;
mod outbox;
mod own_nodes;
mod platform;
mod readme;
mod retention;
mod roles;
mod running;
mod scale;
mod sessions;
mod setup;
mod systemd;
mod tokens;
mod workspace;
