//! `counterfoil-with-nodes -- CMD…`: runs a command beside a private RabbitMQ and PostgreSQL.
//!
//! The command finds them by `COUNTERFOIL_TEST_AMQP_URL`, `COUNTERFOIL_TEST_MANAGEMENT_URL` and
//! `COUNTERFOIL_TEST_DATABASE_URL`. Its exit code is passed on; a command that a signal ended counts
//! as 128 + signal, as in a shell. Both servers end before this program does.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, bail};
use counterfoil_testkit::{AMQP_URL, DATABASE_URL, MANAGEMENT_URL, PostgresNode, RabbitNode};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long the command may take to end after a signal, before it gets the next, stronger one.
const GRACE: Duration = Duration::from_secs(10);

/// What a shell answers when it cannot run a command.
const CANNOT_RUN: u8 = 126;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(status) => ExitCode::from(code_of(status)),
        Err(error) => {
            eprintln!("counterfoil-with-nodes: {error:#}");
            ExitCode::from(CANNOT_RUN)
        }
    }
}

async fn run() -> anyhow::Result<ExitStatus> {
    let mut args = std::env::args_os().skip(1).peekable();
    args.next_if(|arg| arg == "--");
    let Some(program) = args.next() else {
        bail!("no command; usage: counterfoil-with-nodes -- CMD [ARG]…");
    };
    let mut signals = Signals::listen()?;
    let starting = async { tokio::try_join!(RabbitNode::start(), PostgresNode::start()) };
    let (rabbit, postgres) = tokio::select! {
        nodes = starting => nodes?,
        () = signals.any() => bail!("stopped before the servers were up"),
    };
    let mut command = Command::new(&program)
        .args(args)
        .env(AMQP_URL, rabbit.amqp_server_url())
        .env(MANAGEMENT_URL, rabbit.management_url())
        .env(DATABASE_URL, postgres.url("postgres"))
        .spawn()
        .with_context(|| format!("could not run {}", program.display()))?;
    signals.watch(&mut command).await
    // Here both nodes are dropped, which ends them.
}

/// The two signals that ask this program to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Waits for the command, and sees to it that it ends when this program is asked to.
    async fn watch(&mut self, command: &mut Child) -> anyhow::Result<ExitStatus> {
        tokio::select! {
            status = command.wait() => return Ok(status?),
            // Ctrl-C in a terminal reaches the command as well. Sent to it a second time, a test
            // runner would kill its tests instead of letting them end.
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => terminate(command).await?,
        }
        if let Ok(status) = tokio::time::timeout(GRACE, command.wait()).await {
            return Ok(status?);
        }
        terminate(command).await?;
        if let Ok(status) = tokio::time::timeout(GRACE, command.wait()).await {
            return Ok(status?);
        }
        command.kill().await?;
        Ok(command.wait().await?)
    }
}

/// Asks the command to end.
async fn terminate(command: &Child) -> anyhow::Result<()> {
    // No id: it has ended already.
    if let Some(id) = command.id() {
        let kill = r#"kill -s TERM "$0""#;
        Command::new("/bin/sh")
            .args(["-c", kill, &id.to_string()])
            .status()
            .await?;
    }
    Ok(())
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(CANNOT_RUN)
}

#[cfg(test)]
mod tests {
    use super::{CANNOT_RUN, code_of};
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    #[test]
    fn a_command_that_dies_of_a_signal_counts_as_in_a_shell() {
        // As the kernel encodes them: the signal in the low byte, the exit code in the next.
        assert_eq!(code_of(ExitStatus::from_raw(9)), 128 + 9);
        assert_eq!(code_of(ExitStatus::from_raw(42 << 8)), 42);
        assert_ne!(code_of(ExitStatus::from_raw(0)), CANNOT_RUN);
    }
}
