//! A small complete worker: two tasks around invoices.
//!
//! [`tasks`] is what producers need, [`handlers`] what the worker does, `main.rs` how it starts.

pub mod handlers;
pub mod tasks;
