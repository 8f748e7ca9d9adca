//! `demo`: the whole system on one screen. Producers, a worker, the sync daemon, a broker and a
//! database, and books at the end in which every task must be accounted for.

mod bars;
mod books;
mod cast;
mod look;
mod producers;
mod serve;
mod stage;

use crate::args::Global;
use crate::failure::{Code, Failure};
use crate::open;
use crate::output::{Output, numbers, words};
use bars::Bars;
use books::{Books, Line, Unaccounted};
use cast::Cast;
use counterfoil_demo::scenario;
use counterfoil_toolbox::config::Needs;
use counterfoil_toolbox::start::asked_to_stop;
use look::Watch;
use serde::Serialize;
use serve::Serving;
use stage::Stage;
use std::future::Future;
use std::path::PathBuf;
use std::time::Instant;
use tracing::level_filters::LevelFilter;

/// Ids that are told when tasks are not accounted for; more do not help.
const TOLD: usize = 20;

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// How many tasks to send; some of them schedule more
    #[arg(long, value_name = "N", default_value_t = 200)]
    tasks: usize,
    /// Use this RabbitMQ instead of a broker in memory: a virtual host of the demo's own, whose
    /// daemon and workers take whatever waits there
    #[arg(long, value_name = "U")]
    amqp_url: Option<String>,
    /// Use this PostgreSQL (or SQLite) instead of a temporary SQLite file
    #[arg(long, value_name = "U")]
    database_url: Option<String>,
    /// Keep the database file and the exports in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Show it all in a browser meanwhile, and afterwards until Ctrl-C
    #[arg(long)]
    serve: bool,
}

/// The answer as a document.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    broker: &'a str,
    database: &'a str,
    sent: usize,
    children: usize,
    elapsed_ms: u128,
    lines: &'a [Line],
    unaccounted: &'a [Unaccounted],
}

pub(crate) async fn run(
    args: DemoArgs,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let variables = [
        ("COUNTERFOIL_BROKER__URL", &args.amqp_url),
        ("COUNTERFOIL_DATABASE__URL", &args.database_url),
    ];
    let variables = variables
        .into_iter()
        .filter_map(|(name, url)| Some((name, url.clone()?)));
    // Tasks fail here on purpose: what the worker says about that is no news.
    let config = open::config_with(global, Needs::NOTHING, variables, LevelFilter::ERROR)?;
    let stage = interruptible(Stage::set(&args, config)).await?;
    let serving = match args.serve {
        true => Some(Serving::begin(&stage).await?),
        false => None,
    };
    let mut cast = Cast::enter(&stage)?;
    let played = interruptible(play(&args, &stage, &mut cast, output)).await;
    // However it ended: nobody goes on, and nothing is left behind.
    cast.dismiss().await;
    let mut ended = played.and_then(|books| verdict(&books));
    if let Some(serving) = serving {
        if ended.is_ok() {
            output.flush()?;
            ended = serving.until_asked_to_stop(&stage).await;
        }
        serving.end().await;
    }
    stage.strike().await;
    ended
}

/// Ends early, as a failure, when somebody asks for it: what has begun is then cleared away.
async fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        () = asked_to_stop() => {
            Err(Failure::new(Code::Interrupted, anyhow::anyhow!("interrupted")))
        }
    }
}

async fn play(
    args: &DemoArgs,
    stage: &Stage,
    cast: &mut Cast,
    output: &mut Output,
) -> Result<Books, Failure> {
    let started = Instant::now();
    let plan = scenario::plan(args.tasks);
    let children = plan.iter().map(|planned| planned.children).sum();
    let bars = Bars::new(plan.len(), plan.len() + children);
    let sent = cast.guard(producers::send(stage, plan, &bars)).await?;
    bars.all_sent();
    let watch = Watch::new(stage, &sent, &bars);
    let mut books = cast.guard(watch.until_settled()).await?;
    let elapsed = started.elapsed();
    bars.finish();
    cast.leave().await?;
    books.add_leftovers(stage.leftovers(&sent).await?);
    let answer = Answer {
        broker: stage.broker(),
        database: stage.database(),
        sent: sent.len(),
        children,
        elapsed_ms: elapsed.as_millis(),
        lines: books.lines(),
        unaccounted: books.unaccounted(),
    };
    print(&answer, output)?;
    Ok(books)
}

fn print(answer: &Answer<'_>, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.document(answer);
    }
    let columns = [
        words("TASK"),
        words("STATE"),
        numbers("EXPECTED"),
        numbers("MIRRORED"),
    ];
    output.table(
        &columns,
        answer.lines.iter().map(|line| {
            vec![
                line.name.clone(),
                line.state.to_string(),
                line.expected.to_string(),
                line.mirrored.to_string(),
            ]
        }),
    )?;
    let all = answer.sent + answer.children;
    let (sent, children) = (answer.sent, answer.children);
    let seconds = f64::from(u32::try_from(answer.elapsed_ms).unwrap_or(u32::MAX)) / 1000.0;
    let verdict = match answer.unaccounted.len() {
        0 => format!("all {all} accounted for"),
        missing => format!("{missing} not accounted for"),
    };
    output.line(format_args!(
        "\n{sent} tasks sent, {children} scheduled by tasks; {verdict}, in {seconds:.1} s\n\
         broker: {}; database: {}",
        answer.broker, answer.database
    ))
}

fn verdict(books: &Books) -> Result<(), Failure> {
    let unaccounted = books.unaccounted();
    if unaccounted.is_empty() {
        return Ok(());
    }
    let told = unaccounted
        .iter()
        .take(TOLD)
        .map(|fault| format!("\n  {fault}"));
    let more = match unaccounted.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    let told: String = told.collect();
    Err(Failure::failed(format!(
        "{} tasks are not accounted for:{told}{more}",
        unaccounted.len()
    )))
}
