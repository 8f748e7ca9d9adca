//! End-to-end tests, a module per promise.
