//! The dashboard: what is in the platform's database and at its broker, for people and for programs.
//!
//! [`Dashboard::serve`] answers HTTP: pages that need no JavaScript to be read, and a JSON API under `/api`.
//! Every route is one line of `routes`; who may call it stands there too. What keeps a request from its
//! answer is a `Trouble`, which people are told as a page and programs as `application/problem+json`.

mod access;
mod act;
mod api;
#[cfg(test)]
mod api_tests;
mod app;
mod assets;
mod connections;
#[cfg(test)]
mod document_tests;
mod embed;
#[cfg(test)]
mod family_tests;
mod headers;
mod health;
#[cfg(test)]
mod hostile_tests;
mod live;
#[cfg(test)]
mod live_tests;
mod page;
#[cfg(test)]
mod page_tests;
mod query;
mod routes;
#[cfg(test)]
mod send_tests;
mod serve;
mod shown;
#[cfg(test)]
mod sign_in_tests;
#[cfg(test)]
mod site_tests;
mod trail;
mod trouble;

pub use access::{HashError, NewToken, hash_password, new_token};
pub use app::{Dashboard, DashboardError};
