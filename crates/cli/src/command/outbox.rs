//! `outbox`: messages that can never be sent, and what becomes of them.

use crate::args::Global;
use crate::asking::DoerArgs;
use crate::each::{Each, mode};
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, numbers, words};
use crate::text::short;
use crate::when::shown;
use counterfoil_operations::outbox::{AT_ONCE, Fate, all, find, subject};
use counterfoil_operations::{Mode, Outcome, Told};
use counterfoil_store::{RefusedMessage, Store};
use counterfoil_toolbox::config::Needs;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum OutboxCommand {
    /// List those that the daemon gave up on, oldest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Let the daemon try them once more, after what they were refused for is mended
    Retry(Choice),
    /// Throw them away; their tasks, which nobody can have started, are cancelled
    Discard(Discard),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// Keys of messages, or ids of their tasks
    #[arg(value_name = "KEY", required_unless_present = "all")]
    keys: Vec<String>,
    /// All that the daemon gave up on
    #[arg(long, conflicts_with = "keys")]
    all: bool,
    /// Only say which and how many
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    doer: DoerArgs,
}

pub(crate) async fn run(
    command: OutboxCommand,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let config = open::config(global, Needs::DATABASE)?;
    let store = open::database(&config).await?;
    let done = match command {
        OutboxCommand::List { limit } => list(limit, &*store, output).await,
        OutboxCommand::Retry(choice) => choice.run(&Fate::Retry, &*store, output).await,
        OutboxCommand::Discard(Discard { choice, doer }) => {
            open::tell_python(&*store, &config).await?;
            let fate = Fate::Discard(doer.or_user());
            choice.run(&fate, &*store, output).await
        }
    };
    store.close().await;
    done
}

async fn list(limit: u32, store: &dyn Store, output: &mut Output) -> Result<(), Failure> {
    let state = store.outbox_state().await?;
    let refused = store.refused_messages(None, limit + 1).await?;
    let columns = [
        words("SINCE"),
        words("KEY"),
        words("TASK ID"),
        words("ROUTING KEY"),
        numbers("BYTES"),
        words("WHY"),
    ];
    output.beginning(&refused, limit, &columns, |message| {
        vec![
            shown(message.created_date),
            message.key.clone(),
            message.task_id.clone().unwrap_or_default(),
            message.routing_key.clone(),
            message.bytes.to_string(),
            short(&message.refusal),
        ]
    })?;
    output.flush()?;
    eprintln!(
        "beside those that can never be sent, {} are being sent and {} are due later",
        state.waiting, state.later
    );
    Ok(())
}

impl Choice {
    async fn run(
        &self,
        fate: &Fate,
        store: &dyn Store,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let found = match self.all {
            true => all(store).await?,
            false => find(store, &self.keys).await?,
        };
        let count = self.all.then_some(found.messages.len());
        let mut each = Each::begin(output, fate.words(), mode(self.dry_run), count);
        each.nobodys(
            &found.unknown,
            "no refused message has this key or is of this task",
        );
        let done = self.deal(&found.messages, fate, store, &mut each).await;
        each.end_after(done)
    }

    async fn deal(
        &self,
        messages: &[RefusedMessage],
        fate: &Fate,
        store: &dyn Store,
        each: &mut Each<'_>,
    ) -> Result<(), Failure> {
        for some in messages.chunks(AT_ONCE) {
            let outcomes = match mode(self.dry_run) {
                Mode::DryRun => vec![Outcome::Done(None); some.len()],
                Mode::Do => fate.apply(some, store).await?,
            };
            for (message, outcome) in some.iter().zip(outcomes) {
                let subject = subject(message);
                each.tell(&Told { subject, outcome });
            }
        }
        Ok(())
    }
}
