//! `why`: where a task is, what it waits for, and what to do about it.

use crate::args::Global;
use crate::command::task::{Id, find};
use crate::failure::Failure;
use crate::open;
use crate::output::Output;
use crate::text::plain;
use counterfoil_operations::why::{Explanation, Inquiry, Site};
use counterfoil_toolbox::config::Needs;

pub(crate) async fn run(id: &Id, global: &Global, output: &mut Output) -> Result<(), Failure> {
    let config = open::config(global, Needs::BOTH)?;
    let names = open::names(&config.broker)?;
    let store = open::database(&config).await?;
    // What the database knows is worth telling without it.
    let broker = open::broker(&config.broker).await;
    let broker = broker.map_err(|failure| failure.error().to_string());
    let site = Site {
        store: &*store,
        broker: &broker,
        names: &names,
        settings: &config.sync,
    };
    let answer = answer(id, site, output).await;
    if let Ok(transport) = &broker {
        transport.close().await;
    }
    store.close().await;
    answer
}

async fn answer(id: &Id, site: Site<'_>, output: &mut Output) -> Result<(), Failure> {
    let inquiry = Inquiry::begin(site).await;
    let failure = match find(site.store, id).await {
        Ok(task) => return tell(&inquiry.of_task(task).await?, output),
        Err(failure) => failure,
    };
    let Some(id) = id.text() else {
        return Err(failure
            .remedy("see `counterfoil task list`; the daemon must run for tasks to be mirrored"));
    };
    let explanation = inquiry.without_row(id).await?;
    tell(&explanation, output)?;
    match explanation.is_of_nobody() {
        // All that there is to say of it has been said.
        true => Err(Failure::failed("nothing is known of this id")),
        false => Ok(()),
    }
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
