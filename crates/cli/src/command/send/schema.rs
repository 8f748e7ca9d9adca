//! Checking arguments before they are sent, when the task's schema is known: from a catalogue
//! file, or from what workers announced to the database.

use super::input::Order;
use crate::failure::{Code, Failure};
use crate::open;
use crate::text::plain;
use counterfoil_toolbox::call::Signature;
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::TaskName;
use jsonschema::Validator;
use serde_json::Value;

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

/// Refuses arguments that do not fit. A task that nobody knows passes, with a warning.
pub(super) async fn check(
    config: &Config,
    name: &TaskName,
    orders: &[Order],
    occasion: Occasion,
) -> Result<(), Failure> {
    let schema = match find(config, name).await? {
        Ok(schema) => schema,
        Err(why) => {
            eprintln!(
                "warning: no schema of {name} is known, so its arguments were not checked: {why}"
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
    let remedy = match occasion {
        Occasion::Sending => {
            "nothing was sent; mend the arguments, or send them as they are with --unvalidated"
        }
        Occasion::Scheduling => {
            "nothing was added; mend the arguments, or have them sent as they are with --unvalidated"
        }
    };
    Err(Failure::new(Code::Usage, error).remedy(remedy))
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
            let path = error.instance_path().to_string();
            let argument = path.trim_start_matches('/').replace('/', ".");
            match argument.is_empty() {
                true => format!("`{name}` got bad arguments: {error}"),
                false => format!("`{name}` got a bad value for argument `{argument}`: {error}"),
            }
        })
        .collect()
}

/// The schema, or why there is none.
async fn find(config: &Config, name: &TaskName) -> Result<Result<Value, String>, Failure> {
    if let Some(schema) = in_catalogue(config, name)? {
        return Ok(Ok(schema));
    }
    let Some(database) = &config.database else {
        let why = "no database is configured, where workers announce their tasks";
        return Ok(Err(why.to_owned()));
    };
    if let Some(file) = database.missing_file() {
        return Ok(Err(format!("there is no database {}", file.display())));
    }
    let unknown = || "no worker has announced it to the database".to_owned();
    match in_database(config, name).await {
        Ok(schema) => Ok(schema.ok_or_else(unknown)),
        // Sending needs the broker alone.
        Err(failure) => {
            let why = plain(&ErrorChain(failure.error()).to_string());
            Ok(Err(format!("the database cannot be asked: {why}")))
        }
    }
}

fn in_catalogue(config: &Config, name: &TaskName) -> Result<Option<Value>, Failure> {
    let Some(file) = &config.catalogue else {
        return Ok(None);
    };
    let unusable = |error: String| {
        let error = anyhow::anyhow!("the catalogue {} cannot be used: {error}", file.display());
        Failure::new(Code::Configuration, error)
    };
    let text = std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    let mut catalogue: serde_json::Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    Ok(catalogue.remove(name.as_str()))
}

async fn in_database(config: &Config, name: &TaskName) -> Result<Option<Value>, Failure> {
    let store = open::database(config).await?;
    let schema = store.task_schema(name.as_str()).await?;
    store.close().await;
    Ok(schema.map(|schema| schema.to_value()))
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
                "`demo.one` got a bad value for argument `tags.1`: 7 is not of type \"string\"",
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
