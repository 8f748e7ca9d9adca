//! A configuration that is wrong is refused before anything is opened, with all of its faults.

use crate::program::Program;

#[tokio::test]
async fn all_faults_of_file_and_environment_are_told_at_once() {
    let mut program = Program::new();
    program.set("COUNTERFOIL_WORKER__CONCURRENCY", "many").file(
        "counterfoil.toml",
        "profile = \"production\"\n[broker]\nheartbeat = \"soon\"\nurI = \"amqp://u:canary7f3a@h\"\n",
    );
    let ran = program.run(&["queues"]).await.ends_with(78);
    assert_eq!(ran.stdout, "");
    for fault in [
        "error: the configuration has 4 faults:",
        "broker.url: missing: a broker is needed, and profile \"production\" has no default",
        "broker.heartbeat: \"soon\" is not a duration",
        "broker.urI: unknown setting; did you mean broker.url?",
        "worker.concurrency: \"many\" (from COUNTERFOIL_WORKER__CONCURRENCY) is not a whole number",
    ] {
        assert!(ran.stderr.contains(fault), "{fault}\n{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_command_needs_what_it_uses_and_no_more() {
    let mut program = Program::new();
    program.set("COUNTERFOIL_PROFILE", "production");
    for (args, needed) in [
        (&["send", "demo.add"][..], &["broker.url"][..]),
        (&["task", "list"], &["database.url", "database.id_secret"]),
        (
            &["init"],
            &["broker.url", "database.url", "database.id_secret"],
        ),
    ] {
        let ran = program.run(args).await.ends_with(78);
        for field in ["broker.url", "database.url", "database.id_secret"] {
            let told = ran.stderr.contains(&format!("{field}: missing"));
            assert_eq!(
                told,
                needed.contains(&field),
                "{args:?} {field}: {}",
                ran.stderr
            );
        }
    }
}

#[tokio::test]
async fn a_named_file_must_be_there_and_be_toml() {
    let program = Program::new();
    let ran = program
        .run(&["--config", "other.toml", "queues"])
        .await
        .ends_with(78);
    assert!(
        ran.stderr.contains("other.toml: cannot be read"),
        "{}",
        ran.stderr
    );
    program.file(
        "other.toml",
        "[broker]\nurl = \"amqp://u:canary7f3a@h\nheartbeat = 3\n",
    );
    let ran = program
        .run(&["queues", "--config", "other.toml"])
        .await
        .ends_with(78);
    assert!(
        ran.stderr.contains("other.toml: not valid TOML"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_filter_of_logs_that_makes_no_sense_is_a_fault_too() {
    let mut program = Program::new();
    program.set("RUST_LOG", "a=b=c");
    let ran = program.run(&["queues"]).await.ends_with(78);
    assert!(ran.stderr.contains("RUST_LOG"), "{}", ran.stderr);
}
