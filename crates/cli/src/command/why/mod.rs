//! `why`: where a task is, what it waits for, and what to do about it.

mod explain;
mod explanation;
mod facts;
mod gather;
mod gone;
pub(crate) mod group;
#[cfg(test)]
mod tests;
mod waiting;

use crate::args::Global;
use crate::command::task::{Id, find};
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use crate::text::plain;
use counterfoil_store::Store;
use counterfoil_toolbox::config::{Config, Needs};
use counterfoil_toolbox::topology::Names;
use explain::{explain, unknown};
use explanation::Explanation;
use gather::{Asked, gather, lag};

pub(crate) async fn run(id: &Id, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let config = open::config(global, Needs::BOTH)?;
    let names = open::names(&config.broker)?;
    let store = open::database(&config).await?;
    // What the database knows is worth telling without it.
    let broker = open::broker(&config.broker).await;
    let broker = broker.map_err(|failure| failure.error().to_string());
    let answer = answer(id, &config, &names, &*store, &broker, output).await;
    if let Ok(transport) = &broker {
        transport.close().await;
    }
    store.close().await;
    answer
}

async fn answer(
    id: &Id,
    config: &Config,
    names: &Names,
    store: &dyn Store,
    broker: &Asked,
    output: &mut Output,
) -> Result<(), Failure> {
    let lag = lag(names, broker).await;
    let task = match find(store, id).await {
        Ok(task) => task,
        Err(failure) => {
            let Some(id) = id.text() else {
                return Err(failure.remedy(
                    "see `counterfoil task list`; the daemon must run for tasks to be mirrored",
                ));
            };
            if let Some(explanation) = group::explained(id, config, store, &lag).await? {
                return tell(&explanation, output);
            }
            tell(&unknown(id, &lag), output)?;
            // All that there is to say of it has been said.
            return Err(Failure::failed("nothing is known of this id"));
        }
    };
    let facts = gather(task, config, names, store, broker, lag).await?;
    tell(&explain(&facts), output)
}

fn tell(explanation: &Explanation, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.document(explanation);
    }
    output.line(plain(&explanation.answer))?;
    for detail in &explanation.details {
        output.line(format_args!("  {}", plain(detail)))?;
    }
    for remedy in &explanation.remedies {
        output.line(format_args!("→ {}", plain(remedy)))?;
    }
    Ok(())
}
