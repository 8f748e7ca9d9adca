//! Checking arguments before they are sent, when the task's schema is known: from a catalogue
//! file, or from what workers announced to the database.

use super::input::Order;
use crate::failure::{Code, Failure};
use crate::known::meant_task;
use crate::open;
use crate::text::plain;
use counterfoil_operations::arguments::{self, Arguments};
use counterfoil_toolbox::config::Config;
use counterfoil_toolbox::error::ErrorChain;
use counterfoil_toolbox::names::TaskName;
use serde_json::{Map, Value};

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
    let arguments = match Arguments::new(name, &schema) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!(
                "warning: the schema of {name} is not usable, so its arguments were not checked: {}",
                error.why
            );
            return Ok(());
        }
    };
    let faults: Vec<String> = orders
        .iter()
        .flat_map(|order| {
            let faults = arguments.faults(&order.args, &order.kwargs);
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
    arguments::catalogue(file).map_err(|error| Failure::new(Code::Configuration, error))
}

/// The schema that workers announced, or the names of the tasks that they did announce.
async fn in_database(
    config: &Config,
    name: &TaskName,
) -> Result<Result<Value, Vec<String>>, Failure> {
    let store = open::database(config).await?;
    let schema = arguments::announced(&*store, name).await?;
    store.close().await;
    Ok(schema)
}
