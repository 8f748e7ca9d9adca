//! All of Celery's own integration tests that a worker elsewhere can pass.

use crate::celery::integration::{Backend, OF_EARLY_WORKERS, OF_THEIR_PROCESS, run};

/// Those that are about workers and what their callers see of them.
const FILES: [&str; 3] = ["test_tasks", "test_canvas", "test_group_chains"];

/// What a worker tells of itself. That tasks come by the exchange of a platform, which the other backend needs, is seen
/// there, and these tests know of none.
const INSPECT: &str = "test_inspect";

/// Those that fail with a worker of Celery's, too, when results come by a database: an error in the header of a chord does
/// not reach the chord after it; and one that wants a module of Python's which nothing else here needs.
const FAIL_WITH_CELERYS_WORKERS: &str =
    "not test_header_failure_fails_the_chords_after and not redis-group-ids";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "many of the tests sleep, some minutes: tests/scale/celery"]
async fn a_worker_of_ours_passes_celerys_integration_tests() -> anyhow::Result<()> {
    let path = |file: &str| format!("t/integration/{file}.py");
    let (files, inspect) = (FILES.map(path), path(INSPECT));
    let mut arguments: Vec<_> = files.iter().map(String::as_str).collect();
    let all =
        || format!("{OF_THEIR_PROCESS} and {OF_EARLY_WORKERS} and {FAIL_WITH_CELERYS_WORKERS}");
    let chosen = std::env::var("CELERY_TESTS").unwrap_or_else(|_| all());
    arguments.extend(["-k", &chosen, "--durations", "20", "--tb", "short"]);
    let with_inspect = [&arguments[..], &[&inspect]].concat();
    let wanted = std::env::var("CELERY_BACKENDS").unwrap_or_else(|_| "database rpc".to_owned());
    let mut failed = 0;
    for (name, backend, arguments) in [
        ("database", Backend::Database, &arguments),
        ("rpc", Backend::Rpc, &with_inspect),
    ] {
        if !wanted.contains(name) {
            continue;
        }
        // What fails with one of them keeps nobody from learning of the other.
        match run(arguments, backend).await {
            Ok(said) => eprintln!("results by {name}:\n{said}"),
            Err(error) => {
                failed += 1;
                eprintln!("results by {name}:\n{error}");
            }
        }
    }
    anyhow::ensure!(failed == 0, "tests fail, see above");
    Ok(())
}
