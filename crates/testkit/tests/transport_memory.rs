//! The broker in memory keeps the promises of the suite, without waiting for any second of them.

use counterfoil_testkit::transport_suite::Stage;
use counterfoil_testkit::transport_suite_tests;

transport_suite_tests!(
    #[tokio::test(start_paused = true)]
    async {
        anyhow::Ok(Stage::memory())
    }
);

#[test]
fn every_promise_is_in_the_list_of_the_suite() -> std::io::Result<()> {
    let suite = concat!(env!("CARGO_MANIFEST_DIR"), "/src/transport_suite");
    let list = std::fs::read_to_string(format!("{suite}/mod.rs"))?;
    for file in std::fs::read_dir(suite)? {
        let source = std::fs::read_to_string(file?.path())?;
        for line in source.lines() {
            let Some(rest) = line.strip_prefix("pub async fn ") else {
                continue;
            };
            let promise = rest.split('(').next().unwrap_or(rest);
            assert!(
                list.contains(&format!("{promise},")),
                "{promise} is not tried"
            );
        }
    }
    Ok(())
}
