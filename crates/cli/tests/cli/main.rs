//! The real binary, from outside: what it prints, where, and with which exit code.

mod away;
mod configuration;
mod database;
mod demo;
mod doctor;
mod hostile;
mod program;
mod refused;
mod send;
mod topology;
mod tree;
mod usage;
