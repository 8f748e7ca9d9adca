//! What people do, as a front end calls it: with brokers and databases of both kinds.

mod acting;
mod dead;
mod platform;
mod site;
mod words;
