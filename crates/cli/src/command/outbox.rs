//! `outbox`: messages that can never be sent, and what becomes of them.

use crate::args::Global;
use crate::asking::Doer;
use crate::each::{Each, Mode, Outcome, Subject, Words};
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, numbers, words};
use crate::text::short;
use crate::when::shown;
use counterfoil_store::{Batch, RefusedMessage, Store};
use counterfoil_toolbox::config::Needs;

/// Messages that are dealt with at a time.
const AT_ONCE: u32 = 500;

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
    doer: Doer,
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
        OutboxCommand::Retry(choice) => choice.run(&What::Retry, &*store, output).await,
        OutboxCommand::Discard(Discard { choice, doer }) => {
            open::tell_python(&*store, &config).await?;
            let what = What::Discard(doer.or_user());
            choice.run(&what, &*store, output).await
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

/// What is done with refused messages.
enum What {
    Retry,
    Discard(Doer),
}

impl What {
    const fn words(&self) -> Words {
        Words {
            things: ["message", "messages"],
            done: match self {
                Self::Retry => "queued again",
                Self::Discard(_) => "discarded",
            },
        }
    }

    /// Does it, and says what became of each, in their order.
    async fn apply(
        &self,
        messages: &[RefusedMessage],
        store: &dyn Store,
    ) -> Result<Vec<Outcome>, Failure> {
        let positions: Vec<_> = messages.iter().map(|message| message.position).collect();
        let done = match self {
            Self::Retry => store.retry_refused(&positions).await?,
            Self::Discard(doer) => discard(messages, doer, store).await?,
        };
        let outcome = |position| match done.contains(position) {
            true => Outcome::Done(None),
            false => Outcome::Failed("somebody else dealt with it meanwhile".to_owned()),
        };
        Ok(positions.iter().map(outcome).collect())
    }
}

/// Throws these messages away, with their tasks cancelled and their sessions told. Returns the positions of those
/// that nobody else has dealt with meanwhile.
async fn discard(
    messages: &[RefusedMessage],
    doer: &Doer,
    store: &dyn Store,
) -> Result<Vec<i64>, Failure> {
    let mut left: Vec<_> = messages.iter().collect();
    loop {
        let now = store.clock().await?;
        let mut batch = Batch::new();
        for message in &left {
            let task = match message.task_id.as_deref() {
                Some(id) => store.task(id).await?,
                None => None,
            };
            batch.discard(message, task.as_ref(), doer.name(), now);
        }
        let gone = store.apply(&batch).await?.not_discarded;
        if gone.is_empty() {
            return Ok(left.iter().map(|message| message.position).collect());
        }
        left.retain(|message| !gone.contains(&message.position));
    }
}

impl Choice {
    async fn run(
        &self,
        what: &What,
        store: &dyn Store,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let (messages, unknown) = self.find(store).await?;
        let count = self.all.then_some(messages.len());
        let mut each = Each::begin(output, what.words(), Mode::of(self.dry_run), count);
        each.nobodys(
            &unknown,
            "no refused message has this key or is of this task",
        );
        let done = self.deal(&messages, what, store, &mut each).await;
        each.end_after(done)
    }

    async fn deal(
        &self,
        messages: &[RefusedMessage],
        what: &What,
        store: &dyn Store,
        each: &mut Each<'_>,
    ) -> Result<(), Failure> {
        for some in messages.chunks(AT_ONCE as usize) {
            let outcomes = match Mode::of(self.dry_run) {
                Mode::DryRun => vec![Outcome::Done(None); some.len()],
                Mode::Do => what.apply(some, store).await?,
            };
            for (message, outcome) in some.iter().zip(&outcomes) {
                let subject = Subject {
                    id: &message.key,
                    task_id: message.task_id.as_deref(),
                    name: Some(&message.routing_key),
                };
                each.tell(subject, outcome);
            }
        }
        Ok(())
    }

    /// The messages that are meant, and keys that are nobody's.
    async fn find(&self, store: &dyn Store) -> Result<(Vec<RefusedMessage>, Vec<String>), Failure> {
        if self.all {
            return Ok((store.refused_messages(None, 0).await?, Vec::new()));
        }
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        for key in &self.keys {
            // A public id is one of a task.
            let task = store.task(key).await?.map(|task| task.task_id.to_string());
            let wanted = task.as_deref().unwrap_or(key);
            let messages = store.refused_messages(Some(wanted), 0).await?;
            if messages.is_empty() {
                unknown.push(key.clone());
            }
            found.extend(messages);
        }
        found.sort_by_key(|message| message.position);
        found.dedup_by_key(|message| message.position);
        Ok((found, unknown))
    }
}
