//! Tasks that are sent at fixed times.

use crate::stage::{SOON, Stage, on_both_databases};
use counterfoil_testkit::eventually;

on_both_databases!(
    a_schedule_is_added_listed_run_paused_resumed_and_removed,
    what_cannot_be_a_schedule_is_refused_by_name,
    a_schedule_for_a_service_that_nobody_knows_is_added_with_a_warning,
    arguments_that_do_not_fit_are_refused_and_nothing_is_added,
);

async fn a_schedule_is_added_listed_run_paused_resumed_and_removed(
    stage: Stage,
) -> anyhow::Result<()> {
    let program = &stage.program;
    let add = [
        "schedule",
        "add",
        "nightly",
        "30 2 * * *",
        "demo.add",
        "--args",
        "[1, 2]",
        "--zone",
        "Europe/Zurich",
        "--catch-up",
        "once",
        "--jitter",
        "5m",
        "--creator",
        "ann",
    ];
    let added = program.run(&add).await.ends_with(0);
    assert!(added.stdout.contains("fires next at 2"), "{}", added.stdout);
    let again = program.run(&add).await.ends_with(1);
    assert!(
        again.stderr.contains("a schedule \"nightly\" already"),
        "{}",
        again.stderr
    );

    let list = ["schedule", "list", "--json"];
    let row = program.run(&list).await.ends_with(0).documents().remove(0);
    assert_eq!(row["name"], "nightly");
    assert_eq!(
        (&row["catch_up"], &row["jitter_ms"]),
        (&"once".into(), &300_000.into())
    );
    assert!(
        row["next_at"].is_string() && row["last_at"].is_null(),
        "{row}"
    );

    let shown = program.run(&["schedule", "show", "nightly"]).await;
    let shown = shown.ends_with(0).stdout;
    for fact in ["kwargs       {", "creator      ann", "jitter       5m"] {
        assert!(shown.contains(fact), "{fact}: {shown}");
    }
    let ran = program
        .run(&["schedule", "run", "nightly"])
        .await
        .ends_with(0);
    let id = ran.stdout.trim();
    let task = stage.store.task(id).await?;
    let task = task.expect("its row is there at once");
    assert_eq!(task.creator_id.as_deref(), Some("ann"));
    let daemon = stage.daemon();
    eventually("the task to be sent", SOON, async || {
        let state = stage.store.outbox_state().await?;
        Ok((state.waiting == 0).then_some(()))
    })
    .await?;
    daemon.stop().await?;

    let next = row["next_at"].clone();
    program
        .run(&["schedule", "pause", "nightly"])
        .await
        .ends_with(0);
    let table = program.run(&["schedule", "list"]).await.ends_with(0);
    assert!(table.stdout.contains("paused"), "{}", table.stdout);
    for _ in 0..2 {
        let resume = ["schedule", "resume", "nightly", "--json"];
        let resumed = program.run(&resume).await.ends_with(0).document();
        assert_eq!(resumed["next_at"], next);
    }
    program
        .run(&["schedule", "remove", "nightly"])
        .await
        .ends_with(0);
    for verb in ["show", "remove", "run", "pause", "resume"] {
        let gone = program
            .run(&["schedule", verb, "nightly"])
            .await
            .ends_with(1);
        assert!(
            gone.stderr.contains("no schedule \"nightly\""),
            "{}",
            gone.stderr
        );
    }
    Ok(())
}

async fn what_cannot_be_a_schedule_is_refused_by_name(stage: Stage) -> anyhow::Result<()> {
    let good = ["nightly", "30 2 * * *", "demo.add"];
    for (at, bad, told) in [
        (0, "ni/ght", "a name has"),
        (1, "61 * * * *", "cron \"61 * * * *\""),
        (1, "0 0 30 2 *", "never fires"),
        (2, "de mo", "white space"),
    ] {
        let mut words = good;
        words[at] = bad;
        let words = [&["schedule", "add"], &words[..]].concat();
        let refused = stage.program.run(&words).await.ends_with(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    for (option, bad, told) in [
        (
            "--zone",
            "Europe/Atlantis",
            "no time zone \"Europe/Atlantis\"",
        ),
        ("--catch-up", "some", "none of skip, once and all"),
        ("--args", "{}", "--args must be a JSON array"),
        ("--jitter", "often", "--jitter"),
    ] {
        let words = [&["schedule", "add"], &good[..], &[option, bad]].concat();
        let refused = stage.program.run(&words).await.ends_with(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    assert!(stage.store.schedules(None).await?.is_empty());
    Ok(())
}

async fn a_schedule_for_a_service_that_nobody_knows_is_added_with_a_warning(
    stage: Stage,
) -> anyhow::Result<()> {
    let add = async |name: &str, task: &str| {
        let add = ["schedule", "add", name, "@daily", task, "--unvalidated"];
        stage.program.run(&add).await.ends_with(0).stderr
    };
    assert_eq!(add("good", "demo.add").await, "");
    let warned = add("mistyped", "dmeo.add").await;
    let known = "warning: nobody has heard of a service dmeo; did you mean demo?";
    assert!(warned.contains(known), "{warned}");
    assert_eq!(stage.store.schedules(None).await?.len(), 2);
    Ok(())
}

async fn arguments_that_do_not_fit_are_refused_and_nothing_is_added(
    stage: Stage,
) -> anyhow::Result<()> {
    let schema = r#"{"demo.add": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}"#;
    stage.program.file("catalogue.json", schema);
    stage
        .program
        .file("counterfoil.toml", "catalogue = \"catalogue.json\"");
    let add = ["schedule", "add", "nightly", "@daily", "demo.add"];
    let refused = stage.program.run(&add).await.ends_with(2).stderr;
    let remedy = "remedy: nothing was added; mend the arguments, or have it all sent as it is with --unvalidated";
    assert!(refused.contains(remedy), "{refused}");
    assert!(stage.store.schedules(None).await?.is_empty());
    Ok(())
}
