//! Broker or database do not answer: exit code 69, within `connect_timeout`.

use crate::program::{CANARY, Program};
use counterfoil_testkit::{Broker, patience};
use std::time::Duration;
use tokio::net::TcpListener;

/// How long the program itself may take. Far below twice the deadline, on a machine that is not slow.
fn margin() -> Duration {
    patience(Duration::from_millis(1500))
}

const NEED_BROKER: [&[&str]; 5] = [
    &["queues"],
    &["send", "demo.add", "{}"],
    &["send", "demo.add", "{}", "--wait"],
    &["topology", "plan"],
    &["topology", "apply"],
];

fn with_broker(port: u16) -> Program {
    let mut program = Program::new();
    let url = format!("amqp://guest:{CANARY}@127.0.0.1:{port}/%2f");
    program.set("COUNTERFOIL_BROKER__URL", url);
    program.set("COUNTERFOIL_BROKER__CONNECT_TIMEOUT", "2s");
    program
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_at_once_with_its_address() {
    let program = with_broker(1);
    for args in NEED_BROKER {
        let ran = program.run(args).await.ends_with(69);
        assert!(
            ran.stderr
                .contains("the broker 127.0.0.1:1/%2f cannot be reached"),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("remedy: start the broker"), "{ran:?}");
        assert_eq!(ran.stdout, "");
        assert!(ran.took < margin(), "{ran:?}");
    }
}

#[tokio::test]
async fn a_broker_that_never_answers_is_given_up_after_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    // Connections are accepted by the system, and nobody ever says a word.
    let program = with_broker(port);
    for args in NEED_BROKER {
        let ran = program.run(args).await.ends_with(69);
        assert!(ran.stderr.contains("did not answer"), "{ran:?}");
        let (least, most) = (Duration::from_secs(2), Duration::from_secs(2) + margin());
        assert!(ran.took >= least && ran.took < most, "{ran:?}");
    }
}

#[tokio::test]
async fn of_several_urls_one_that_never_answers_is_passed_over() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let mut program = with_broker(silent.local_addr()?.port());
    let silent = format!("amqp://guest:guest@{}/%2f", silent.local_addr()?);
    let urls = format!("{silent},{}", vhost.amqp_url());
    program.set("COUNTERFOIL_BROKER__URL", urls);
    program.set("COUNTERFOIL_DATABASE__URL", "sqlite://x.db");
    for args in [&["topology", "apply"][..], &["queues"], &["doctor"]] {
        let ran = program.run(args).await;
        assert!(!ran.stderr.contains("did not answer"), "{args:?} {ran:?}");
        if args != ["doctor"] {
            ran.ends_with(0);
            continue;
        }
        // There is no database, and that is all.
        assert!(ran.stdout.contains("answers"), "{ran:?}");
        assert!(ran.stderr.contains("1 check failed: database"), "{ran:?}");
    }
    Ok(())
}
