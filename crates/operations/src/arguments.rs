//! Whether arguments fit a task, by what is known of it: from a catalogue file, or from what workers announced to
//! the database.

use crate::error::OperationError;
use counterfoil_store::{JsonText, Store};
use counterfoil_toolbox::call::Signature;
use counterfoil_toolbox::names::TaskName;
use jsonschema::Validator;
use jsonschema::paths::{Location, LocationSegment};
use serde_json::{Map, Value};
use std::path::Path;

/// Faults of one call that are told; more do not help.
const FAULTS_TOLD: usize = 5;

/// The arguments of a task, as its JSON Schema describes them.
///
/// ```
/// use counterfoil_operations::arguments::Arguments;
/// use counterfoil_toolbox::names::TaskName;
/// use serde_json::json;
///
/// let schema = json!({"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]});
/// let arguments = Arguments::new(&TaskName::new("demo.one")?, &schema)?;
/// assert!(arguments.faults("[1]", "{}").is_empty());
/// assert_eq!(arguments.faults("[]", "{}"), ["`demo.one` is missing the required argument `x`"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Arguments {
    name: TaskName,
    signature: Signature,
    validator: Validator,
}

/// A schema that nothing can be checked against.
#[derive(Debug, thiserror::Error)]
#[error("the schema of {name} is not usable: {why}")]
pub struct UnusableSchema {
    /// The task.
    pub name: TaskName,
    /// What is wrong with it.
    pub why: String,
}

/// A catalogue of schemas that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the catalogue {file} cannot be used: {why}")]
pub struct UnusableCatalogue {
    /// The file.
    pub file: String,
    /// Why not.
    pub why: String,
}

impl Arguments {
    /// As `schema` describes them.
    ///
    /// # Errors
    /// [`UnusableSchema`]
    pub fn new(name: &TaskName, schema: &Value) -> Result<Self, UnusableSchema> {
        let validator = jsonschema::validator_for(schema).map_err(|error| UnusableSchema {
            name: name.clone(),
            why: error.to_string(),
        })?;
        Ok(Self {
            name: name.clone(),
            signature: Signature::from_schema(name.as_str(), schema),
            validator,
        })
    }

    /// What is wrong with arguments by position (a JSON array) and by keyword (a JSON object); nothing: they fit. It
    /// quotes them.
    #[must_use]
    pub fn faults(&self, args: &str, kwargs: &str) -> Vec<String> {
        self.faults_without(args, kwargs, |_| false)
    }

    /// The same without the values of fields whose name is one that `hides` knows, and what is below them.
    ///
    /// ```
    /// use counterfoil_operations::arguments::Arguments;
    /// use counterfoil_toolbox::names::TaskName;
    /// use serde_json::json;
    ///
    /// let schema = json!({"type": "object", "properties": {"key": {"type": "integer"}}});
    /// let arguments = Arguments::new(&TaskName::new("demo.one")?, &schema)?;
    /// let faults = arguments.faults_without("[]", r#"{"key": "S3CRET"}"#, |name| name == "key");
    /// assert_eq!(faults, ["`demo.one` got a bad value for argument `key`"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn faults_without(
        &self,
        args: &str,
        kwargs: &str,
        hides: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let name = &self.name;
        let named = match self.signature.named(args, kwargs) {
            Ok(named) => named,
            Err(error) => return vec![error.to_string()],
        };
        let arguments: Value = match serde_json::from_str(&named) {
            Ok(arguments) => arguments,
            Err(error) => {
                return vec![format!("`{name}` got arguments that are not JSON: {error}")];
            }
        };
        let errors = self.validator.iter_errors(&arguments).take(FAULTS_TOLD);
        let told = errors.map(|error| {
            let (argument, is_hidden) = path(error.instance_path(), &hides);
            if is_hidden {
                return format!("`{name}` got a bad value for argument `{argument}`");
            }
            // What is quoted may be below the place that is told.
            let place = arguments.pointer(error.instance_path().as_str());
            let is_hidden = place.is_none_or(|value| holds_hidden(value, &hides));
            let what = match is_hidden || holds_hidden(error.instance(), &hides) {
                true => error.masked().to_string(),
                false => error.to_string(),
            };
            match argument.is_empty() {
                true => format!("`{name}` got bad arguments: {what}"),
                false => format!("`{name}` got a bad value for argument `{argument}`: {what}"),
            }
        });
        told.collect()
    }
}

/// Whether a value that is quoted would show one that is hidden. A text may be JSON itself, or anything else that names
/// what it holds.
fn holds_hidden(value: &Value, hides: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| hides(name) || holds_hidden(value, hides)),
        Value::Array(values) => values.iter().any(|value| holds_hidden(value, hides)),
        Value::String(text) => hides(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A place among the arguments as one would write it: `lines[0].item`, and whether that is hidden. It ends with the
/// first name that is: what is below may be named after a secret.
fn path(place: &Location, hides: &impl Fn(&str) -> bool) -> (String, bool) {
    let mut path = String::new();
    for segment in place {
        match segment {
            LocationSegment::Index(index) => path.push_str(&format!("[{index}]")),
            LocationSegment::Property(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&name);
                if hides(&name) {
                    return (path, true);
                }
            }
        }
    }
    (path, false)
}

/// The schemas of a file, `{"export.project": {…}}`.
///
/// # Errors
/// [`UnusableCatalogue`]
pub fn catalogue(file: &Path) -> Result<Map<String, Value>, UnusableCatalogue> {
    let unusable = |why: String| UnusableCatalogue {
        file: file.display().to_string(),
        why,
    };
    let text = std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))
}

/// The schema that workers announced of a task, or the names of the tasks that they did announce.
///
/// # Errors
/// [`OperationError::Store`]
///
/// # Cancel safety
/// It only looks.
pub async fn announced(
    store: &dyn Store,
    name: &TaskName,
) -> Result<Result<Value, Vec<String>>, OperationError> {
    if let Some(schema) = store.task_schema(name.as_str()).await? {
        return Ok(Ok(schema.to_value()));
    }
    let workers = store.workers().await?;
    let tasks = workers.into_iter().filter_map(|worker| worker.tasks);
    let names = |tasks: JsonText| {
        let tasks = tasks.to_value();
        let tasks = tasks.as_array().into_iter().flatten();
        let names = tasks.filter_map(|task| task["name"].as_str());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    Ok(Err(tasks.flat_map(names).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(args: &str, kwargs: &str) -> Vec<String> {
        let schema = json!({
            "type": "object",
            "properties": {"x": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
            "required": ["x"],
        });
        let name = TaskName::new("demo.one").expect("valid");
        let arguments = Arguments::new(&name, &schema).expect("a schema");
        arguments.faults(args, kwargs)
    }

    #[test]
    fn every_bad_argument_is_named_by_position_and_by_keyword_alike() {
        assert_eq!(told("[1]", r#"{"tags": ["a"]}"#), Vec::<String>::new());
        assert_eq!(
            told(r#"["a"]"#, r#"{"tags": ["a", 7]}"#),
            [
                "`demo.one` got a bad value for argument `x`: \"a\" is not of type \"integer\"",
                "`demo.one` got a bad value for argument `tags[1]`: 7 is not of type \"string\"",
            ]
        );
        assert_eq!(
            told("[]", "{}"),
            ["`demo.one` is missing the required argument `x`"]
        );
        assert_eq!(
            told("[1]", r#"{"colour": 1}"#),
            ["`demo.one` got an unexpected argument `colour`"]
        );
    }

    #[test]
    fn what_a_hidden_field_holds_is_not_told_wherever_the_fault_is() {
        let schema = json!({
            "type": "object",
            "properties": {
                "api_key": {"type": "object", "additionalProperties": {"type": "integer"}},
                "login": {"type": "string"},
                "logins": {"type": "array", "items": {"additionalProperties": false}},
                "text": {"type": "integer"},
                "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            },
        });
        let name = TaskName::new("demo.one").expect("valid");
        let arguments = Arguments::new(&name, &schema).expect("a schema");
        let hides = |name: &str| name.contains("key");
        for (kwargs, expected) in [
            (
                json!({"api_key": {"v": "S3CRET"}}),
                "a bad value for argument `api_key`",
            ),
            (
                json!({"api_key": {"S3CRET": "v"}}),
                "a bad value for argument `api_key`",
            ),
            (
                json!({"login": {"my": [{"key": "S3CRET"}]}}),
                "a bad value for argument `login`: value is not of type \"string\"",
            ),
            (
                json!({"logins": [{"key": "S3CRET"}]}),
                "a bad value for argument `logins[0]`: False schema does not allow value",
            ),
            (
                json!({"text": r#"{"key": "S3CRET"}"#}),
                "a bad value for argument `text`: value is not of type \"integer\"",
            ),
            (
                json!({"either": {"key": "S3CRET"}}),
                "a bad value for argument `either`: value is not valid under any of the schemas listed in the 'anyOf' keyword",
            ),
            (
                json!({"text": "told"}),
                "a bad value for argument `text`: \"told\" is not of type \"integer\"",
            ),
        ] {
            let told = arguments.faults_without("[]", &kwargs.to_string(), hides);
            assert_eq!(told, [format!("`demo.one` got {expected}")], "{kwargs}");
        }
    }
}
