//! `counterfoil`: everything that a person types.
//!
//! Answers go to standard output, everything else to standard error. Exit codes: 0 done, 1 failed,
//! 2 usage, 69 broker or database unavailable, 78 configuration or topology, 130 interrupted.

mod args;
mod asking;
mod canary;
mod command;
mod each;
mod failure;
mod known;
mod open;
mod output;
mod text;
mod when;

use args::Cli;
use clap::Parser;
use output::Output;
use std::process::ExitCode;
/// Tasks are made on one thread and dropped on another, many times a second, which glibc is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Waiting for a result reads messages that anybody may have written.
    if let Err(error) = counterfoil_toolbox::ensure_big_stack() {
        eprintln!("warning: the stack could not be made bigger: {error}");
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no threads could be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut output = Output::new(cli.global.json);
    let outcome = runtime.block_on(command::run(cli.command, &cli.global, &mut output));
    // What was found out before a failure is an answer too.
    let flushed = output.flush();
    let outcome = outcome.and(flushed);
    // A name server that does not answer must not hold up the end.
    runtime.shutdown_background();
    counterfoil_toolbox::telemetry::end();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
