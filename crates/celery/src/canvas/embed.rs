//! What a message brings of what is to happen after its task.

use super::signature::{Signature, listed};
use counterfoil_worker::extension::Subject;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The third part of a message's body.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Embed {
    /// Called with the task's result.
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) callbacks: Vec<Signature>,
    /// Called with the task's id when it fails.
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) errbacks: Vec<Signature>,
    /// The next steps, the last one first.
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) chain: Vec<Signature>,
    /// What the task's group is the header of.
    #[serde(default)]
    pub(crate) chord: Option<Box<RawValue>>,
}

impl Embed {
    /// That of a task's message: nothing, where that cannot be read.
    ///
    /// # Errors
    /// See [`Self::read`].
    pub(crate) fn of(task: &Subject<'_>) -> Result<Self, String> {
        match task.payload {
            Some(payload) => Self::read(payload.embed()),
            None => Ok(Self::default()),
        }
    }

    /// # Errors
    /// When it is not what Celery writes.
    pub(crate) fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| {
            format!("its callbacks, errbacks, chain or chord cannot be read: {error}")
        })
    }
}

/// Celery writes null where there is nothing, and one signature where there might be several.
fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Signature>, D::Error> {
    let Some(raw) = Option::<Box<RawValue>>::deserialize(deserializer)? else {
        return Ok(Vec::new());
    };
    listed(raw.get()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_in_many_ways() {
        for nothing in [
            "{}",
            r#"{"callbacks":null,"errbacks":[],"chain":null,"chord":null}"#,
        ] {
            let embed = Embed::read(nothing).expect("read");
            let counts = [&embed.callbacks, &embed.errbacks, &embed.chain].map(Vec::len);
            assert_eq!(counts, [0, 0, 0]);
        }
        assert!(Embed::read(r#"{"chain":[7]}"#).is_err());
    }
}
