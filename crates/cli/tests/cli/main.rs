//! The real binary, from outside: what it prints, where, and with which exit code.

mod away;
mod configuration;
mod control;
mod database;
mod dead;
mod dead_chosen;
mod deleted;
mod demo;
mod doctor;
mod hostile;
mod lists;
mod new;
mod new_builds;
mod outbox;
mod parked;
mod program;
mod refused;
mod rerun;
mod schedule;
mod send;
mod stage;
mod topology;
mod tree;
mod usage;
mod why;
