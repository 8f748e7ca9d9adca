//! What people do and ask, as a front end calls it: with brokers and databases of both kinds.

mod acting;
mod asking;
mod dead;
mod forgetful;
mod only_asks;
mod platform;
mod site;
mod threads;
mod words;
