//! Which dead messages are dealt with, and those of an odd kind. The database has no part in it.

use crate::stage::{BODY, Stage, id_of, on_sqlite};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::message::names::{REASON, REASON_TEXT, RUN};
use counterfoil_toolbox::message::{Content, TaskMessage};
use counterfoil_toolbox::transport::Requeue;

on_sqlite!(
    only_the_chosen_ones_are_redriven_and_the_others_stay_as_they_were,
    a_message_that_names_no_task_is_sent_as_it_is_or_discarded,
    what_the_broker_gave_up_runs_again_too,
    records_without_a_message_are_told_and_can_be_forgotten,
    many_that_are_kept_do_not_hide_the_few_that_are_chosen,
    an_id_that_no_dead_message_has_is_a_failure_and_the_others_are_dealt_with,
);

async fn an_id_that_no_dead_message_has_is_a_failure_and_the_others_are_dealt_with(
    stage: Stage,
) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let dead = stage.die("demo.add", FaultKind::Exhausted).await?;
    stage.listed(1).await?;
    let discard = [
        "dead",
        "discard",
        "demo",
        "--id",
        "mistyped",
        "--id",
        id_of(&dead),
    ];
    let ran = stage.program.run(&discard).await.ends_with(1);
    let told = "failed  mistyped  -  no message that was chosen has this id";
    assert!(ran.stdout.contains(told), "{ran:?}");
    assert!(
        ran.stdout.contains("1 dead message discarded, 1 failed"),
        "{ran:?}"
    );
    daemon.stop().await
}

async fn only_the_chosen_ones_are_redriven_and_the_others_stay_as_they_were(
    stage: Stage,
) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let mut letters = Vec::new();
    for (name, reason) in [
        ("demo.add", FaultKind::Exhausted),
        ("demo.add", FaultKind::BadArguments),
        ("demo.echo", FaultKind::BadArguments),
        ("demo.echo", FaultKind::UnknownTask),
    ] {
        letters.push(stage.die(name, reason).await?);
    }
    stage.listed(4).await?;
    let redriven = async |args: &[&str]| {
        let all = [&["dead", "redrive", "demo", "--json"], args].concat();
        let ran = stage.program.run(&all).await.ends_with(0);
        let mut ids: Vec<String> = Vec::new();
        for line in ran
            .documents()
            .iter()
            .filter(|line| line["outcome"] == "done")
        {
            ids.push(line["task_id"].as_str().expect("a task").to_owned());
        }
        ids
    };
    assert!(redriven(&["--since", "2100-01-01"]).await.is_empty());
    assert!(redriven(&["--reason", "rejected"]).await.is_empty());
    for verb in ["list", "redrive"] {
        let mistyped = ["dead", verb, "demo", "--reason", "bad_argument"];
        let told = stage.program.run(&mistyped).await.ends_with(0).stderr;
        assert!(
            told.contains("no dead letter of demo has the reason bad_argument;"),
            "{told}"
        );
        assert!(told.contains("bad_arguments"), "{told}");
    }
    let chosen = redriven(&[
        "--reason",
        "bad_arguments",
        "--name",
        "demo.echo",
        "--since",
        "1h",
    ]);
    assert_eq!(chosen.await, [id_of(&letters[2])]);
    assert_eq!(
        redriven(&["--limit", "1"]).await,
        [id_of(&letters[0])],
        "the oldest"
    );
    // By the public id too.
    let public = stage.store.public_id(&id_of(&letters[3]).parse()?)?;
    assert_eq!(redriven(&["--id", &public]).await, [id_of(&letters[3])]);
    let left = stage.listed(1).await?;
    assert_eq!(left[0]["task_id"], id_of(&letters[1]));
    assert_eq!(
        (stage.ready("demo.dead").await?, stage.ready("demo").await?),
        (1, 3)
    );
    let mut kept = stage.take("demo.dead").await?.content;
    kept.headers.retain(|name| name != "x-delivery-count");
    assert_eq!(kept.body, letters[1].body);
    assert_eq!(kept.headers.text(REASON), Some("bad_arguments"));
    assert_eq!(kept.headers.len(), letters[1].headers.len());
    daemon.stop().await
}

async fn a_message_that_names_no_task_is_sent_as_it_is_or_discarded(
    stage: Stage,
) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let mut letter = Content::json("{ not JSON");
    letter.headers.push("mine", "kept");
    letter.headers.push(REASON, "undecodable");
    letter.headers.push(REASON_TEXT, "not JSON");
    for run in 1..=2 {
        stage
            .publish(&stage.names.dead, "demo", letter.clone())
            .await?;
        let listed = stage.listed(1).await?;
        let id = listed[0]["id"].as_str().expect("an id").to_owned();
        let text = stage
            .program
            .run(&["dead", "list", "demo"])
            .await
            .ends_with(0);
        assert!(text.stdout.contains(&id), "it has no other name: {text:?}");
        let redrive = &["dead", "redrive", "demo", "--id", &id];
        let ran = stage.program.run(redrive).await.ends_with(0);
        assert!(ran.stdout.contains("as it is: it names no task"), "{ran:?}");
        assert!(
            ran.stderr.contains("1 dead message named no task"),
            "{ran:?}"
        );
        stage.listed(0).await?;
        assert_eq!(stage.ready("demo.dead").await?, 0);
        let again = stage.take("demo").await?;
        assert_eq!(&again.content.body[..], b"{ not JSON");
        assert_eq!(again.content.headers.text("mine"), Some("kept"));
        assert_eq!(again.content.headers.int(RUN), Some(run));
        // It dies of the same.
        letter = again.content.clone().without_broker_headers();
        letter.headers.push(REASON, "undecodable");
        letter.headers.push(REASON_TEXT, "not JSON");
        let _ = again.ack();
    }
    stage
        .publish(&stage.names.dead, "demo", letter.clone())
        .await?;
    stage.listed(1).await?;
    let ran = stage
        .program
        .run(&["dead", "discard", "demo", "--reason", "undecodable"])
        .await;
    assert!(
        ran.ends_with(0)
            .stdout
            .ends_with("1 dead message discarded\n")
    );
    stage.listed(0).await?;
    assert_eq!(
        (stage.ready("demo.dead").await?, stage.ready("demo").await?),
        (0, 0)
    );
    daemon.stop().await
}

async fn what_the_broker_gave_up_runs_again_too(stage: Stage) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    let mut content = Content::json(BODY);
    content.headers.push("task", "demo.abort");
    content.headers.push("id", "t1");
    stage
        .publish(&stage.names.tasks, "demo.abort", content)
        .await?;
    for _ in 0..=20 {
        let _ = stage.take("demo").await?.nack(Requeue::Yes);
    }
    let listed = stage.listed(1).await?;
    assert_eq!(listed[0]["reason"], "delivery_limit");
    assert_eq!(
        listed[0]["reason_text"],
        "21 deliveries in a row ended with a lost worker"
    );
    stage.is("t1", 0, TaskState::Failure).await?;
    let redrive = &[
        "dead",
        "redrive",
        "demo",
        "--reason",
        "delivery_limit",
        "--since",
        "10m",
    ];
    let ran = stage.program.run(redrive).await.ends_with(0);
    assert!(ran.stdout.ends_with("1 dead message redriven\n"), "{ran:?}");
    stage.listed(0).await?;
    stage.is("t1", 1, TaskState::Pending).await?;
    assert_eq!(stage.ready("demo.dead").await?, 0);
    let again = stage.take("demo").await?.content;
    assert_eq!(&again.body[..], BODY.as_bytes());
    let broker = |name: &str| name.starts_with("x-");
    assert!(
        again.headers.iter().all(|(name, _)| !broker(name)),
        "{again:?}"
    );
    assert_eq!(TaskMessage::decode(&again)?.envelope.lineage.run, 1);
    daemon.stop().await
}

async fn records_without_a_message_are_told_and_can_be_forgotten(
    stage: Stage,
) -> anyhow::Result<()> {
    let daemon = stage.daemon();
    stage.die("demo.add", FaultKind::Exhausted).await?;
    stage.listed(1).await?;
    let _ = stage.take("demo.dead").await?.ack();
    let ran = stage
        .program
        .run(&["dead", "redrive", "demo", "--all"])
        .await
        .ends_with(1);
    assert!(
        ran.stdout
            .contains("its message is not in demo.dead any more"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("1 of 1 dead message could not be redriven"),
        "{ran:?}"
    );
    for verb in ["redrive", "discard"] {
        let ran = stage
            .program
            .run(&["dead", verb, "demo"])
            .await
            .ends_with(2);
        assert!(ran.stderr.contains("--all means everything"), "{ran:?}");
    }
    stage.listed(1).await?;
    stage
        .program
        .run(&["dead", "discard", "demo", "--dry-run"])
        .await
        .ends_with(0);
    stage.listed(1).await?;
    stage
        .program
        .run(&["dead", "discard", "demo", "--all"])
        .await
        .ends_with(0);
    stage.listed(0).await?;
    let ran = stage
        .program
        .run(&["dead", "redrive", "nobody", "--all"])
        .await
        .ends_with(2);
    assert!(
        ran.stderr
            .contains("there is no service nobody, and no dead queue of it"),
        "{ran:?}"
    );
    daemon.stop().await
}

/// More of them than one consumer asks for.
async fn many_that_are_kept_do_not_hide_the_few_that_are_chosen(
    stage: Stage,
) -> anyhow::Result<()> {
    let publish = async |n: usize, reason: &str| {
        let mut letter = Content::json(BODY);
        letter.headers.push("task", "demo.add");
        letter.headers.push("id", format!("t{n}"));
        letter.headers.push(REASON, reason);
        stage.publish(&stage.names.dead, "demo", letter).await
    };
    for n in 0..700 {
        publish(n, "exhausted").await?;
    }
    for n in 700..705 {
        publish(n, "bad_arguments").await?;
    }
    // Twice: those that were given back before are no poison.
    for _ in 0..2 {
        let dry = &[
            "dead",
            "redrive",
            "demo",
            "--reason",
            "bad_arguments",
            "--dry-run",
        ];
        let ran = stage.program.run(dry).await.ends_with(0);
        assert_eq!(ran.stdout.lines().count(), 6, "{ran:?}");
    }
    let redrive = &["dead", "redrive", "demo", "--reason", "bad_arguments"];
    let ran = stage.program.run(redrive).await.ends_with(0);
    assert!(
        ran.stdout.ends_with("5 dead messages redriven\n"),
        "{ran:?}"
    );
    assert_eq!(
        (stage.ready("demo.dead").await?, stage.ready("demo").await?),
        (700, 5)
    );
    let ran = stage
        .program
        .run(&["dead", "discard", "demo", "--limit", "650"])
        .await;
    assert!(
        ran.ends_with(0)
            .stdout
            .ends_with("650 dead messages discarded\n")
    );
    assert_eq!(stage.ready("demo.dead").await?, 50);
    Ok(())
}
