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

    /// What is wrong with arguments by position (a JSON array) and by keyword (a JSON object); nothing: they fit.
    #[must_use]
    pub fn faults(&self, args: &str, kwargs: &str) -> Vec<String> {
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
            let argument = path(error.instance_path());
            match argument.is_empty() {
                true => format!("`{name}` got bad arguments: {error}"),
                false => format!("`{name}` got a bad value for argument `{argument}`: {error}"),
            }
        });
        told.collect()
    }
}

/// A place among the arguments as one would write it: `lines[0].item`.
fn path(place: &Location) -> String {
    let mut path = String::new();
    for segment in place {
        match segment {
            LocationSegment::Index(index) => path.push_str(&format!("[{index}]")),
            LocationSegment::Property(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&name);
            }
        }
    }
    path
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
}
