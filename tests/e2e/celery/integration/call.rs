//! Arguments as Python's functions take them.

use counterfoil_toolbox::event::Exception;
use counterfoil_toolbox::message::Payload;
use counterfoil_worker::TaskError;
use serde_json::{Map, Value, json};

/// What a task is called with.
pub(super) struct Call {
    /// Name of the function.
    name: &'static str,
    pub(super) args: Vec<Value>,
    pub(super) kwargs: Map<String, Value>,
}

impl Call {
    pub(super) fn of(name: &'static str, payload: &Payload) -> Result<Self, TaskError> {
        Ok(Self {
            name,
            args: serde_json::from_str(payload.args()).map_err(TaskError::fail)?,
            kwargs: serde_json::from_str(payload.kwargs()).map_err(TaskError::fail)?,
        })
    }

    /// The arguments by these names, null where one is left out that may be. What is wrong is told as Python does.
    pub(super) fn named<const N: usize>(
        mut self,
        names: [&str; N],
        needed: usize,
    ) -> Result<[Value; N], TaskError> {
        let (function, given) = (self.name, self.args.len());
        let mut found = [const { Value::Null }; N];
        let mut missing = Vec::new();
        for (n, name) in names.into_iter().enumerate() {
            let by_position = self.args.get_mut(n).map(Value::take);
            found[n] = match (by_position, self.kwargs.remove(name)) {
                (Some(_), Some(_)) => {
                    let twice = "got multiple values for argument";
                    return Err(type_error(format!("{function}() {twice} '{name}'")));
                }
                (Some(value), None) | (None, Some(value)) => value,
                (None, None) => {
                    missing.extend((n < needed).then_some(name));
                    Value::Null
                }
            };
        }
        if let Some(name) = self.kwargs.keys().next() {
            let unexpected = "got an unexpected keyword argument";
            return Err(type_error(format!("{function}() {unexpected} '{name}'")));
        }
        if given > N {
            let takes = match needed == N {
                true => counted(N, "positional argument"),
                false => format!("from {needed} to {}", counted(N, "positional argument")),
            };
            let were = if given == 1 { "was" } else { "were" };
            let told = format!("{function}() takes {takes} but {given} {were} given");
            return Err(type_error(told));
        }
        match missing.is_empty() {
            true => Ok(found),
            false => Err(self.missing(&missing)),
        }
    }

    pub(super) fn missing(&self, names: &[&str]) -> TaskError {
        let quoted: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        let listed = match &quoted[..] {
            [one, other] => format!("{one} and {other}"),
            [most @ .., last] if !most.is_empty() => format!("{}, and {last}", most.join(", ")),
            _ => quoted.concat(),
        };
        let count = counted(names.len(), "required positional argument");
        type_error(format!("{}() missing {count}: {listed}", self.name))
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// As Python takes it for a condition.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(it) => *it,
        Value::Number(it) => it.as_f64() != Some(0.0),
        Value::String(it) => !it.is_empty(),
        Value::Array(it) => !it.is_empty(),
        Value::Object(it) => !it.is_empty(),
    }
}

pub(super) fn type_error(message: impl Into<String>) -> TaskError {
    raised("builtins", "TypeError", [message.into().into()])
}

/// What a handler fails with.
pub(super) fn raised<const N: usize>(module: &str, name: &str, args: [Value; N]) -> TaskError {
    TaskError::fail(exception(module, name, args))
}

pub(super) fn exception<const N: usize>(module: &str, name: &str, args: [Value; N]) -> Exception {
    Exception::new(name, args).of_module(module)
}

/// As Python's `+` does for numbers, texts and lists.
pub(super) fn plus(left: &Value, right: &Value) -> Result<Value, TaskError> {
    match (left, right) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => Ok(json!(x + y)),
            _ => Ok(json!(x.as_f64().unwrap_or(0.0) + y.as_f64().unwrap_or(0.0))),
        },
        (Value::String(x), Value::String(y)) => Ok(json!(format!("{x}{y}"))),
        (Value::Array(x), Value::Array(y)) => Ok(Value::Array([&x[..], y].concat())),
        _ => Err(type_error(format!(
            "unsupported operand type(s) for +: {left} and {right}"
        ))),
    }
}

pub(super) fn sum(numbers: &Value) -> Result<Value, TaskError> {
    let numbers = numbers
        .as_array()
        .ok_or_else(|| type_error("object is not iterable"))?;
    numbers
        .iter()
        .try_fold(json!(0), |sum, number| plus(&sum, number))
}
