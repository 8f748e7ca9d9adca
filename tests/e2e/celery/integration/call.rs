//! Arguments as Python's functions take them.

use counterfoil_toolbox::event::Exception;
use counterfoil_toolbox::message::Payload;
use counterfoil_worker::TaskError;
use serde_json::{Map, Value, json};

/// What a task is called with.
pub(super) struct Call {
    pub(super) args: Vec<Value>,
    pub(super) kwargs: Map<String, Value>,
}

impl Call {
    pub(super) fn of(payload: &Payload) -> Result<Self, TaskError> {
        Ok(Self {
            args: serde_json::from_str(payload.args()).map_err(TaskError::fail)?,
            kwargs: serde_json::from_str(payload.kwargs()).map_err(TaskError::fail)?,
        })
    }

    /// The arguments by these names, null where one is left out that may be.
    pub(super) fn named<const N: usize>(
        mut self,
        names: [&str; N],
        needed: usize,
    ) -> Result<[Value; N], TaskError> {
        if self.args.len() > N {
            let given = self.args.len();
            return Err(type_error(format!(
                "it takes {N} arguments but {given} were given"
            )));
        }
        let mut found = [const { Value::Null }; N];
        for (n, name) in names.into_iter().enumerate() {
            let by_position = self.args.get_mut(n).map(Value::take);
            found[n] = match (by_position, self.kwargs.remove(name)) {
                (Some(_), Some(_)) => return Err(type_error(format!("got {name} twice"))),
                (Some(value), None) | (None, Some(value)) => value,
                (None, None) if n >= needed => Value::Null,
                (None, None) => return Err(type_error(format!("missing argument: '{name}'"))),
            };
        }
        match self.kwargs.keys().next() {
            None => Ok(found),
            Some(name) => Err(type_error(format!("got an unexpected argument '{name}'"))),
        }
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
