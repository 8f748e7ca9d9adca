//! `counterfoil-bench`: measures one scenario and prints one JSON line.

use clap::Parser;

/// Measures one scenario on a RabbitMQ node and a PostgreSQL database that nothing else uses.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// What to measure.
    scenario: Scenario,
    /// How many tasks to send through.
    #[arg(long, default_value_t = 20_000)]
    tasks: usize,
    /// The broker.
    #[arg(
        long,
        env = "AMQP_URL",
        default_value = "amqp://127.0.0.1:5672/%2f",
        hide_env_values = true
    )]
    amqp_url: String,
    /// The database, for the scenarios that write rows.
    #[arg(long, env = "DATABASE_URL", default_value = "", hide_env_values = true)]
    database_url: String,
    /// Print one JSON line, which is what is printed anyway.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Scenario {
    /// N confirmed, tracked sends.
    Publish,
    /// An empty handler on a full queue; everything reported and acknowledged.
    Drain,
    /// Send, run, until the last result is in the database.
    Pipeline,
    /// One send at a time, until its SUCCESS event comes back.
    Roundtrip,
    /// Rows per second from a full tracking queue.
    Mirror,
    /// Rows per second from full queues of tracking copies and outcomes.
    Outcomes,
    /// The same, all tasks the subtasks of one session.
    Session,
}

/// Tasks are made on one thread and dropped on another, many times a second, which glibc is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (url, tasks) = (arguments.amqp_url.as_str(), arguments.tasks);
    let database = arguments.database_url.as_str();
    let report = match arguments.scenario {
        Scenario::Publish => counterfoil_bench::publish(url, tasks).await?,
        Scenario::Drain => counterfoil_bench::drain(url, tasks).await?,
        Scenario::Pipeline => counterfoil_bench::pipeline(url, database, tasks).await?,
        Scenario::Roundtrip => counterfoil_bench::roundtrip(url, tasks).await?,
        Scenario::Mirror => counterfoil_bench::mirror(url, database, tasks).await?,
        Scenario::Outcomes => counterfoil_bench::outcomes(url, database, tasks).await?,
        Scenario::Session => counterfoil_bench::session(url, database, tasks).await?,
    };
    #[allow(clippy::print_stdout, reason = "the line is what this program is for")]
    {
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(())
}
