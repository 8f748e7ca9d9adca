//! Task messages in Celery's protocol 2, both ways.
//!
//! Metadata travels in headers, the body is `[args, kwargs, embed]`. Protocol 1 is read, not
//! written. The format: <https://docs.celeryq.dev/en/stable/internals/protocol.html>.

mod body;
pub mod content;
mod decode;
mod encode;
mod envelope;
pub mod headers;
pub mod json;
pub(crate) mod repr;
mod run;

pub use content::{Content, Properties};
pub use decode::{Payload, TaskMessage, Undecodable};
pub use encode::{encode, encode_again, encode_with};
#[cfg(feature = "amqp")]
pub(crate) use envelope::known_header;
pub(crate) use envelope::sent_at;
pub use envelope::{Envelope, TimeLimits, names};
pub use headers::{HeaderValue, Headers};
pub use run::{encode_run, encode_unread};
