//! What was typed wrongly is refused with exit code 2, before anything is opened.

use crate::program::Program;

#[tokio::test]
async fn wrong_arguments_end_with_code_2_and_say_what_is_expected() {
    let program = Program::new();
    for (args, hint) in [
        (&["snd"][..], "unrecognized subcommand"),
        (&["send"], "<NAME>"),
        (&["send", "demo add"], "white space"),
        (&["send", "demo.add", "x=1"], "the arguments are not JSON"),
        (
            &["send", "demo.add", "[1]"],
            "--args takes those by position",
        ),
        (
            &["send", "demo.add", "--args", "{}"],
            "--args must be a JSON array",
        ),
        (
            &["send", "demo.add", "--eta", "tomorrow"],
            "2026-01-31T12:00:00Z",
        ),
        (&["send", "demo.add", "--related", "project"], "TYPE:ID"),
        (
            &["send", "demo.add", "--priority", "300"],
            "write high, normal or low",
        ),
        (
            &["send", "demo.add", "--from", "gone.jsonl"],
            "gone.jsonl cannot be read",
        ),
        (
            &["send", "demo.add", "--countdown", "1s", "--eta", "1s"],
            "cannot be used with",
        ),
        (
            &["task", "list", "--state", "ALIVE"],
            "no state has this name; those known are PENDING, ",
        ),
        (&["dead", "list", "a.b"], "only ASCII letters"),
        (&["dead", "discard"], "<SERVICE>"),
        (&["task", "rerun"], "no tasks were chosen"),
        (&["task", "rerun", "--limit", "3"], "no tasks were chosen"),
        (&["task", "delete", "--dry-run"], "no tasks were chosen"),
        (&["task", "delete", "t1", "--state", "FAILURE"], "not both"),
        (
            &["task", "delete", "--state", "FAILURE"],
            "repeat it with --yes",
        ),
        (&["task", "list", "--identifier", "a"], "--name"),
        (&["parked", "discard"], "<ID>..."),
        (&["why"], "counterfoil why --name <TYPE> --identifier <I>"),
        (
            &["task", "show"],
            "counterfoil task show --name <TYPE> --identifier <I>",
        ),
        (
            &["task", "tree"],
            "counterfoil task tree --name <TYPE> --identifier <I>",
        ),
        (
            &["why", "--name", "a.b"],
            "not provided:\n  --identifier <I>\n\n",
        ),
    ] {
        let ran = program.run(args).await.ends_with(2);
        assert!(ran.stderr.contains(hint), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}

#[tokio::test]
async fn a_bad_line_of_a_file_is_named() {
    let program = Program::new();
    program.file("tasks.jsonl", "{\"x\": 1}\n\n7\n");
    let ran = program
        .run(&["send", "demo.add", "--from", "tasks.jsonl"])
        .await;
    let ran = ran.ends_with(2);
    assert!(
        ran.stderr.contains("line 3 must be a JSON object"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn help_is_an_answer() {
    let ran = Program::new().run(&["--help"]).await.ends_with(0);
    for command in [
        "init", "topology", "send", "task", "queues", "dead", "outbox", "parked", "workers",
        "doctor",
    ] {
        assert!(
            ran.stdout.contains(&format!("\n  {command} ")),
            "{command}: {}",
            ran.stdout
        );
    }
}
