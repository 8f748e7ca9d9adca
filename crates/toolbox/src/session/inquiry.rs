//! A question on the wire: what has become of a session?
//!
//! It goes the way of openings, as a JSON object `{"inquiry": …}`. The answer comes by the stream that all workers
//! read, as [`Order::SessionIs`](crate::control::Order::SessionIs) with the id of the question.

use super::status::SessionStatus;
use crate::error::ErrorChain;
use crate::ids::{SessionId, TaskId};
use crate::message::Content;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What has become of a session?
///
/// ```
/// use counterfoil_toolbox::session::Inquiry;
///
/// let inquiry = Inquiry { id: uuid::Uuid::now_v7(), session_id: "harvest-7".parse()? };
/// let body = inquiry.write().body; // `Producer::inquire` sends it
/// assert!(Inquiry::is_one(&body));
/// assert_eq!(Inquiry::read(&body)?, inquiry);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// Whoever asks finds the answer by it: a UUID v7.
    pub id: Uuid,
    /// The session.
    pub session_id: SessionId,
}

/// What the platform says of it.
///
/// ```
/// use counterfoil_toolbox::session::{Answer, SessionStatus};
///
/// /// Whether its subtasks may be sent once more.
/// fn goes_on(answer: Answer) -> bool {
///     matches!(answer.status, None | Some(SessionStatus::Ongoing))
/// }
/// assert!(goes_on(Answer { status: None, sent: 0 })); // its opening may have been lost
/// assert!(!goes_on(Answer { status: Some(SessionStatus::Aborting), sent: 1000 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// How it stands; `None`: the platform knows no such session.
    pub status: Option<SessionStatus>,
    /// How many of its subtasks were ever sent, as far as is known.
    pub sent: i64,
}

#[derive(Serialize)]
struct Written<'a> {
    inquiry: &'a Inquiry,
}

#[derive(Deserialize)]
struct Read {
    inquiry: Inquiry,
}

impl Inquiry {
    /// The message.
    #[must_use]
    pub fn write(&self) -> Content {
        let body = serde_json::to_vec(&Written { inquiry: self }).expect("ids are JSON");
        let mut content = Content::json(body);
        content.properties.message_id = Some(TaskId::random().as_str().into());
        content
    }

    /// Whether the body of a message is a question, and not an opening.
    #[must_use]
    pub fn is_one(body: &[u8]) -> bool {
        body.starts_with(br#"{"inquiry""#)
    }

    /// Reads the body of a message.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let read = serde_json::from_slice::<Read>(body);
        read.map(|read| read.inquiry)
            .map_err(|error| format!("it asks for no session: {}", ErrorChain(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_reads_back_as_it_was_written_and_others_are_refused() {
        let inquiry = Inquiry {
            id: Uuid::now_v7(),
            session_id: SessionId::new("s1").expect("valid"),
        };
        let body = inquiry.write().body;
        assert!(Inquiry::is_one(&body) && !Inquiry::is_one(br#"{"session": {}}"#));
        assert_eq!(Inquiry::read(&body), Ok(inquiry));
        let error = Inquiry::read(br#"{"inquiry": {"id": 1}}"#).expect_err("no id");
        assert!(error.contains("it asks for no session"), "{error}");
    }
}
