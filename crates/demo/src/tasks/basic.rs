//! Tasks that give an answer at once.

use counterfoil_toolbox::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Adds two integers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Add {
    /// One of them.
    pub x: i64,
    /// The other.
    pub y: i64,
}

impl Task for Add {
    const NAME: &'static str = "demo.add";
    type Output = i64;
}

/// Returns what it is given, letter by letter.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Echo {
    /// Any JSON.
    // Not `Value`, which would round numbers that need more than 64 bits.
    #[schemars(with = "serde_json::Value")]
    pub value: Box<RawValue>,
}

impl Task for Echo {
    const NAME: &'static str = "demo.echo";
    type Output = Box<RawValue>;
}

/// Returns a text of a given size, to see what becomes of large results.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Big {
    /// Length of the text, at most 64 MiB.
    pub bytes: usize,
}

impl Task for Big {
    const NAME: &'static str = "demo.big";
    type Output = String;
}
