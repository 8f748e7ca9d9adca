//! Ids of tasks, sessions and workers.

use crate::chance;
use crate::text::checked_text;
use uuid::Uuid;

checked_text! {
    /// Id of one task, also used for its root and its parent.
    ///
    /// Any text of 1–155 bytes without control characters (155 is the width of Celery's
    /// `task_id` column), since other producers choose their own. Ours are UUID v7.
    ///
    /// ```
    /// use counterfoil_toolbox::TaskId;
    ///
    /// let theirs: TaskId = "invoice-17".parse()?;
    /// assert_eq!(theirs.as_uuid(), None);
    /// let (first, second) = (TaskId::random(), TaskId::random());
    /// assert!(first < second); // by the time at which they were made
    /// assert!(TaskId::new("").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    TaskId, "task id", check_id
}

checked_text! {
    /// Id of one running worker or daemon process: `<service>@<host>.<pid>.<random>`.
    ///
    /// ```
    /// use counterfoil_toolbox::ids::WorkerId;
    ///
    /// let ours = WorkerId::for_this_process("image");
    /// assert!(ours.as_str().starts_with("image@") && ours.is_of_a_process());
    /// assert!(!WorkerId::new("celery@host")?.is_of_a_process());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    WorkerId, "worker id", check_id
}

checked_text! {
    /// Id of one session, under the same rules as a [`TaskId`].
    ///
    /// ```
    /// use counterfoil_toolbox::SessionId;
    ///
    /// let id: SessionId = "harvest-2026-11-28".parse()?;
    /// assert_eq!(id.as_str(), "harvest-2026-11-28");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    SessionId, "session id", check_id
}

fn check_id(text: &str) -> Result<(), &'static str> {
    match text.len() {
        0 => Err("it is empty"),
        156.. => Err("it is longer than 155 bytes"),
        _ if text.chars().any(char::is_control) => Err("it holds a control character"),
        _ => Ok(()),
    }
}

impl TaskId {
    /// A new id: UUID v7, so ids sort by the time at which they were made.
    #[must_use]
    pub fn random() -> Self {
        Self::from(Uuid::now_v7())
    }

    /// The id as a UUID, when it is one.
    #[must_use]
    pub fn as_uuid(&self) -> Option<Uuid> {
        Uuid::try_parse(self.as_str()).ok()
    }
}

impl SessionId {
    /// A new id: UUID v7, so ids sort by the time at which they were made.
    #[must_use]
    pub fn random() -> Self {
        Self::from(Uuid::now_v7())
    }
}

impl From<Uuid> for SessionId {
    fn from(id: Uuid) -> Self {
        Self((&*id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer())).into())
    }
}

impl From<Uuid> for TaskId {
    fn from(id: Uuid) -> Self {
        Self((&*id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer())).into())
    }
}

impl WorkerId {
    /// A new id for this process, readable by people: service, host and process id, then chance.
    #[must_use]
    pub fn for_this_process(service: &str) -> Self {
        let host: String = hostname()
            .chars()
            .filter(|c| !c.is_control())
            .take(60)
            .collect();
        let service: String = service
            .chars()
            .filter(|c| !c.is_control())
            .take(40)
            .collect();
        let chance = chance::number() >> 32;
        Self(format!("{service}@{host}.{}.{chance:08x}", std::process::id()).into())
    }

    /// Whether the id is of the kind that [a process of ours](Self::for_this_process) gives itself. Workers of
    /// others, as Celery's `celery@host`, do not call themselves so.
    #[must_use]
    pub fn is_of_a_process(&self) -> bool {
        let mut parts = self.0.rsplitn(3, '.');
        let (chance, process, place) = (parts.next(), parts.next(), parts.next());
        let is_hex = |text: &str| text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        chance.is_some_and(is_hex)
            && process.is_some_and(is_number)
            && place.is_some_and(|place| place.contains('@'))
    }
}

/// Name of this machine, or `localhost` where the system does not tell.
///
/// ```
/// let host = counterfoil_toolbox::ids::hostname();
/// assert!(!host.is_empty() && host.trim() == host);
/// ```
#[must_use]
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_producers_are_kept_as_they_are() {
        for id in [
            "1ee7e25b-5199-4961-bb81-f5fcd4968160",
            "héllo",
            "job 17",
            &"x".repeat(155),
        ] {
            assert_eq!(TaskId::new(id).expect(id).as_str(), id);
        }
    }

    #[test]
    fn an_id_that_no_database_column_holds_is_refused_with_the_rule_it_breaks() {
        let why = |text: &str| TaskId::new(text).expect_err("refused").why;
        assert_eq!(why(""), "it is empty");
        assert_eq!(why(&"x".repeat(156)), "it is longer than 155 bytes");
        assert_eq!(why("a\0b"), "it holds a control character");
    }

    #[test]
    fn own_ids_are_ordered_by_time() {
        let ids: Vec<_> = (0..100).map(|_| TaskId::random()).collect();
        assert!(ids.is_sorted());
    }
}
