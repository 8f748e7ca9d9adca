//! Checking arguments before they are sent, when the task's schema is known: from a catalogue
//! file, or from what workers announced to the database.

use super::input::Order;
use crate::failure::{Code, Failure};
use crate::known::meant_task;
use crate::open;
use crate::text::plain;
use counterfoil_store::JsonText;
use counterfoil_store::record::WorkerRow;
use counterfoil_toolbox::call::Signature;
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::TaskName;
use jsonschema::Validator;
use jsonschema::paths::{Location, LocationSegment};
use serde_json::{Map, Value};

/// Faults of one task that are told; more do not help.
const FAULTS_TOLD: usize = 5;

/// What arguments are checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// They are to be sent now.
    Sending,
    /// They are to be sent at fixed times.
    Scheduling,
}

impl Occasion {
    /// What to do where `what` was refused.
    fn remedy(self, what: &str) -> String {
        match self {
            Self::Sending => format!(
                "nothing was sent; mend the {what}, or send it all as it is with --unvalidated"
            ),
            Self::Scheduling => format!(
                "nothing was added; mend the {what}, or have it all sent as it is with --unvalidated"
            ),
        }
    }
}

/// Refuses arguments that do not fit, and a task that nobody knows whose name is nearly that of one that is known.
/// Another one that nobody knows passes, with a warning.
pub(super) async fn check(
    config: &Config,
    name: &TaskName,
    orders: &[Order],
    occasion: Occasion,
) -> Result<(), Failure> {
    let schema = match find(config, name).await? {
        Ok(schema) => schema,
        Err(unknown) => {
            if let Some(meant) = meant_task(&unknown.name, &unknown.others) {
                let error = format!("no task {name} is known: did you mean {}?", plain(meant));
                return Err(Failure::usage(error).remedy(occasion.remedy("name")));
            }
            eprintln!(
                "warning: no schema of {name} is known, so its arguments were not checked: {}",
                unknown.why
            );
            return Ok(());
        }
    };
    let validator = match jsonschema::validator_for(&schema) {
        Ok(validator) => validator,
        Err(error) => {
            eprintln!(
                "warning: the schema of {name} is not usable, so its arguments were not checked: {error}"
            );
            return Ok(());
        }
    };
    let signature = Signature::from_schema(name.as_str(), &schema);
    let faults: Vec<String> = orders
        .iter()
        .flat_map(|order| {
            let faults = faults(name, &signature, &validator, order);
            faults
                .into_iter()
                .map(|fault| format!("{}{fault}", order.place()))
        })
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    let error = anyhow::anyhow!("{}", faults.join("\n"));
    Err(Failure::new(Code::Usage, error).remedy(occasion.remedy("arguments")))
}

fn faults(
    name: &TaskName,
    signature: &Signature,
    validator: &Validator,
    order: &Order,
) -> Vec<String> {
    let named = match signature.named(&order.args, &order.kwargs) {
        Ok(named) => named,
        Err(error) => return vec![error.to_string()],
    };
    let arguments: Value = match serde_json::from_str(&named) {
        Ok(arguments) => arguments,
        Err(error) => return vec![format!("`{name}` got arguments that are not JSON: {error}")],
    };
    let errors = validator.iter_errors(&arguments).take(FAULTS_TOLD);
    errors
        .map(|error| {
            let argument = path(error.instance_path());
            match argument.is_empty() {
                true => format!("`{name}` got bad arguments: {error}"),
                false => format!("`{name}` got a bad value for argument `{argument}`: {error}"),
            }
        })
        .collect()
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

/// Why a task has no schema, and the tasks that have one.
struct Unknown {
    name: String,
    why: String,
    others: Vec<String>,
}

/// The schema, or why there is none.
async fn find(config: &Config, name: &TaskName) -> Result<Result<Value, Unknown>, Failure> {
    let mut catalogue = catalogue(config)?;
    if let Some(schema) = catalogue.remove(name.as_str()) {
        return Ok(Ok(schema));
    }
    let mut others: Vec<String> = catalogue.into_iter().map(|(name, _)| name).collect();
    let why = match (
        &config.database,
        config.database.as_ref().and_then(|it| it.missing_file()),
    ) {
        (None, _) => "no database is configured, where workers announce their tasks".to_owned(),
        (_, Some(file)) => format!("there is no database {}", file.display()),
        (Some(_), None) => match in_database(config, name).await {
            Ok(Ok(schema)) => return Ok(Ok(schema)),
            Ok(Err(announced)) => {
                others.extend(announced);
                "no worker has announced it to the database".to_owned()
            }
            // Sending needs the broker alone.
            Err(failure) => {
                let why = plain(&ErrorChain(failure.error()).to_string());
                format!("the database cannot be asked: {why}")
            }
        },
    };
    Ok(Err(Unknown {
        name: name.to_string(),
        why,
        others,
    }))
}

/// The schemas of the file that is named for them.
fn catalogue(config: &Config) -> Result<Map<String, Value>, Failure> {
    let Some(file) = &config.catalogue else {
        return Ok(Map::new());
    };
    let unusable = |error: String| {
        let error = anyhow::anyhow!("the catalogue {} cannot be used: {error}", file.display());
        Failure::new(Code::Configuration, error)
    };
    let text = std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))
}

/// The schema that workers announced, or the names of the tasks that they did announce.
async fn in_database(
    config: &Config,
    name: &TaskName,
) -> Result<Result<Value, Vec<String>>, Failure> {
    let store = open::database(config).await?;
    let schema = match store.task_schema(name.as_str()).await? {
        Some(schema) => Ok(schema.to_value()),
        None => Err(announced(store.workers().await?)),
    };
    store.close().await;
    Ok(schema)
}

fn announced(workers: Vec<WorkerRow>) -> Vec<String> {
    let tasks = workers.into_iter().filter_map(|worker| worker.tasks);
    let names = |tasks: JsonText| {
        let tasks = tasks.to_value();
        let tasks = tasks.as_array().into_iter().flatten();
        let names = tasks.filter_map(|task| task["name"].as_str());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    tasks.flat_map(names).collect()
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
        let order = Order {
            line: None,
            args: args.to_owned(),
            kwargs: kwargs.to_owned(),
        };
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        faults(
            &name,
            &Signature::from_schema("demo.one", &schema),
            &validator,
            &order,
        )
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
