//! All of Celery's own integration tests that a worker elsewhere can pass.

use crate::celery::integration::{OF_THEIR_PROCESS, run};

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
    arguments.extend(["-k", OF_THEIR_PROCESS, "--durations", "20"]);
    eprintln!("{}", run(&arguments, "rpc").await?);
    Ok(())
}
