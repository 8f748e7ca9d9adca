//! What takes minutes or a big table. Started by the scripts in `tests/scale`, never by `tests/run` alone.

mod celery;
mod cluster;
mod lease;
mod openapi;
mod retention;
mod streams;
