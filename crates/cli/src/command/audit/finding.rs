//! What does not balance, in words.

use super::balance::{Dead, Open, Unread};
use crate::text::waiting;
use crate::when::shown;
use serde::Serialize;
use std::collections::BTreeSet;

/// Something that does not balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What kind of thing it is, for programs.
    pub(super) kind: Kind,
    /// Whether it is known. False: reports are unread that may explain it.
    pub(super) certain: bool,
    /// Public id of the task. Absent: it has no row.
    pub(super) id: Option<String>,
    /// The task, when there is one.
    pub(super) task_id: Option<String>,
    pub(super) service: Option<String>,
    pub(super) what: String,
    pub(super) remedy: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The database does not know yet what a queue of the platform tells.
    Unread,
    NoRow,
    MessageGone,
    DeadLetterGone,
}

impl Kind {
    /// For people.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::NoRow => "no row",
            Self::MessageGone => "message gone",
            Self::DeadLetterGone => "dead letter gone",
        }
    }
}

impl Finding {
    pub(super) fn unread((queue, unread): (&String, &Unread)) -> Self {
        let (what, remedy) = match unread {
            Unread::Waits(ready) => (
                format!(
                    "{} in {queue}: the database does not know yet what they tell",
                    waiting(u64::from(*ready))
                ),
                "wait until counterfoil-sync has read them, or start it; then look again",
            ),
            Unread::InHand(since) => (
                format!(
                    "a counterfoil-sync reads {queue}, and a canary did not come through; the last that did was sent at \
                     {since}. What it has in hand, the database does not know",
                    since = shown(*since)
                ),
                "`counterfoil topology apply` sets missing bindings; else see the log of counterfoil-sync, and restart it if it \
                 hangs (what it has in hand goes back to its queue); then look again",
            ),
        };
        Self {
            kind: Kind::Unread,
            certain: true,
            id: None,
            task_id: None,
            service: Some(queue.clone()),
            what,
            remedy: remedy.to_owned(),
        }
    }

    pub(super) fn no_row((task_id, places): (&String, &BTreeSet<String>)) -> Self {
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        Self {
            kind: Kind::NoRow,
            certain: true,
            id: None,
            task_id: Some(task_id.clone()),
            service: None,
            what: format!("it has no row, but is known to {}", places.join(", ")),
            remedy:
                "its row went, and not by `counterfoil task delete`: restore it from a backup, or send the task again"
                    .to_owned(),
        }
    }

    pub(super) fn message_gone(open: &Open, how: &str) -> Self {
        Self {
            kind: Kind::MessageGone,
            certain: true,
            id: Some(open.id.clone()),
            task_id: Some(open.task_id.clone()),
            service: Some(open.service.clone()),
            what: format!("it waits, but its message is gone: {how}"),
            remedy: format!(
                "find out who takes messages; the daemon sends it again once it is sure of it (`counterfoil why {id}`), \
                 `counterfoil task rerun --force {id}` at once",
                id = open.id
            ),
        }
    }

    pub(super) fn dead_letter_gone(
        letter: &Dead,
        service: &str,
        letters: usize,
        ready: u32,
    ) -> Self {
        Self {
            kind: Kind::DeadLetterGone,
            certain: true,
            id: None,
            task_id: letter.task_id.clone(),
            service: Some(service.to_owned()),
            what: format!(
                "it is dead, but its message is gone: the dead queue of {service} has {ready} messages for {letters} \
                 dead letters, and those at its head go first"
            ),
            remedy: format!(
                "`counterfoil task rerun {id}` runs it, `counterfoil dead discard {service} --id {id}` strikes it out",
                id = letter.id()
            ),
        }
    }

    /// Whether both are about the same thing: numbers in words may differ.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.kind, &self.task_id, &self.service) == (other.kind, &other.task_id, &other.service)
    }

    /// The same while reports are unread: by one of them the task may be over, and whoever sends it again runs
    /// it twice.
    pub(super) fn while_unread(self) -> Self {
        match self.kind {
            Kind::Unread => self,
            Kind::NoRow | Kind::MessageGone | Kind::DeadLetterGone => Self {
                certain: false,
                what: format!("{} (so it seems while reports are unread)", self.what),
                remedy: "do not send it again yet, it may be done: let counterfoil-sync read what it is told, then look \
                         again"
                    .to_owned(),
                ..self
            },
        }
    }
}
