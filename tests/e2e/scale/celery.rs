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
    for backend in [Backend::Database, Backend::Rpc] {
        eprintln!("{}", run(&arguments, backend).await?);
    }
    Ok(())
}
