//! What a worker tells the platform of tasks that somebody revoked at it, by Celery's remote control: it alone remembers
//! that, and whoever waits for their results looks into the platform's database.
//!
//! By the exchange of events, as a JSON object `{"revoked": […]}` where a batch of events would be an array.

use crate::error::ErrorChain;
use crate::ids::TaskId;
use crate::message::Content;
use serde::{Deserialize, Serialize};

/// Most tasks that one message tells of.
pub const MOST: usize = 10_000;

/// These tasks were revoked, and the worker does not run them.
///
/// ```
/// use counterfoil_toolbox::revoked::Revoked;
///
/// let body = Revoked { ids: vec!["t1".parse()?] }.write().body;
/// assert!(Revoked::is_one(&body));
/// assert_eq!(Revoked::read(&body)?.ids[0].as_str(), "t1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Their ids; of more than [`MOST`] the first.
    #[serde(rename = "revoked")]
    pub ids: Vec<TaskId>,
}

impl Revoked {
    /// The message that tells of them.
    #[must_use]
    pub fn write(&self) -> Content {
        let ids = self.ids.iter().take(MOST).cloned().collect();
        Content::json(serde_json::to_vec(&Self { ids }).expect("texts are JSON"))
    }

    /// Whether the body of a message is one.
    #[must_use]
    pub fn is_one(body: &[u8]) -> bool {
        body.starts_with(br#"{"revoked""#)
    }

    /// Reads the body of a message.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(body)
            .map_err(|error| format!("it tells of no tasks: {}", ErrorChain(&error)))?;
        match read.ids.len() > MOST {
            true => Err(format!("it tells of more than {MOST} tasks")),
            false => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_told_than_are_read() {
        let many = Revoked {
            ids: vec![TaskId::random(); MOST + 1],
        };
        let read = Revoked::read(&many.write().body).expect("it can be read");
        assert_eq!(read.ids.len(), MOST);
        let body = serde_json::to_vec(&many).expect("JSON");
        assert!(Revoked::read(&body).is_err_and(|why| why.contains("more than")));
        assert!(Revoked::read(br#"{"revoked": 7}"#).is_err());
    }
}
