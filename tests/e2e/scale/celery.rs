//! All of Celery's own integration tests that a worker elsewhere can pass.

use crate::celery::integration::{Backend, OF_THEIR_PROCESS, run};

/// Those that are about workers and what their callers see of them.
const FILES: [&str; 4] = [
    "test_tasks",
    "test_canvas",
    "test_group_chains",
    "test_inspect",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "many of the tests sleep, some minutes: tests/scale/celery"]
async fn a_worker_of_ours_passes_celerys_integration_tests() -> anyhow::Result<()> {
    let files = FILES.map(|file| format!("t/integration/{file}.py"));
    let mut arguments: Vec<_> = files.iter().map(String::as_str).collect();
    let chosen = std::env::var("CELERY_TESTS").unwrap_or_else(|_| OF_THEIR_PROCESS.to_owned());
    arguments.extend(["-k", &chosen, "--durations", "20", "--tb", "short"]);
    let wanted = std::env::var("CELERY_BACKENDS").unwrap_or_else(|_| "database rpc".to_owned());
    let mut failed = 0;
    for (name, backend) in [("database", Backend::Database), ("rpc", Backend::Rpc)] {
        if !wanted.contains(name) {
            continue;
        }
        // What fails with one of them keeps nobody from learning of the other.
        match run(&arguments, backend).await {
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
