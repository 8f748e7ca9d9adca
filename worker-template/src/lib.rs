//! A small complete worker to start from.
