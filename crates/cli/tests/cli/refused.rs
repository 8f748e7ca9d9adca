//! The broker answers and says no.

use crate::program::{CANARY, Program};
use counterfoil_testkit::{Broker, Permissions};

fn with(url: String) -> Program {
    let mut program = Program::new();
    program.set("COUNTERFOIL_BROKER__URL", url);
    program
}

/// The URL with another user and a password that must not be seen.
fn as_user(url: &str, user: &str) -> String {
    let (_, host) = url.rsplit_once('@').expect("the harness has a user");
    format!("amqp://{user}:{CANARY}@{host}")
}

#[tokio::test]
async fn a_wrong_password_is_told_with_what_to_mend_and_never_shown() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let mut program = with(as_user(&vhost.amqp_url(), "guest"));
    for level in ["warn", "trace", "trace,lapin=trace"] {
        program.set("RUST_LOG", level);
        let ran = program.run(&["queues"]).await.ends_with(69);
        assert!(ran.stderr.contains("ACCESS_REFUSED"), "{ran:?}");
        assert!(
            ran.stderr
                .contains("remedy: mend user, password or virtual host"),
            "{ran:?}"
        );
    }
    vhost.close().await
}

#[tokio::test]
async fn a_virtual_host_that_is_not_there_is_told() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let url = vhost.amqp_url().replace(vhost.name(), "nowhere");
    let ran = with(url).run(&["send", "demo.add"]).await.ends_with(69);
    assert!(ran.stderr.contains("nowhere"), "{ran:?}");
    vhost.close().await
}

#[tokio::test]
async fn a_user_who_may_not_configure_can_look_but_not_apply() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    with(vhost.amqp_url())
        .run(&["topology", "apply"])
        .await
        .ends_with(0);
    let may_only_use = Permissions {
        configure: "^$",
        ..Permissions::ALL
    };
    let user = vhost.user(may_only_use).await?;
    let program = with(user.amqp_url.clone());
    let ran = program
        .run(&["topology", "verify", "--json"])
        .await
        .ends_with(0);
    let states: Vec<_> = ran
        .documents()
        .iter()
        .map(|line| line["state"].clone())
        .collect();
    assert!(states.contains(&"unchecked".into()) && !states.contains(&"missing".into()));
    let ran = program.run(&["topology", "apply"]).await.ends_with(69);
    assert!(ran.stderr.contains("ACCESS_REFUSED"), "{ran:?}");
    vhost.close().await
}

#[tokio::test]
async fn sending_where_nothing_was_set_up_names_the_remedy() -> anyhow::Result<()> {
    let vhost = Broker::shared().await?.vhost().await?;
    let ran = with(vhost.amqp_url())
        .run(&["send", "demo.add"])
        .await
        .ends_with(78);
    assert!(
        ran.stderr.contains("no exchange 'task_exchange'"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("remedy: run `counterfoil init`"),
        "{ran:?}"
    );
    vhost.close().await
}
