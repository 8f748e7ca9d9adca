//! Who calls, and what they may do. Read `guard.rs` first.

mod caller;
mod cookie;
pub(crate) mod guard;
mod host;
mod origin;
mod password;
mod seal;
mod seldom;
mod visitor;

pub use password::{HashError, hash_password};
pub use visitor::{NewToken, new_token};

pub(crate) use caller::Caller;
pub(crate) use cookie::Cookies;
pub(crate) use password::{Passwords, SignIn};
pub(crate) use seal::Seal;
pub(crate) use seldom::Seldom;
pub(crate) use visitor::{Via, Visitor};
