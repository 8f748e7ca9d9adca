//! Sessions while the daemon ends at its worst moments.

use super::*;
use counterfoil_toolbox::failpoint::Point;

#[tokio::test]
async fn a_session_ends_once_though_the_daemon_ends_at_any_point() -> anyhow::Result<()> {
    let (_vhost, _database, mut platform) = platform().await?;
    let _worker = platform.worker()?;
    for (point, executed) in [
        (Point::Buffered, Executed::Once),
        (Point::TxOpen, Executed::Once),
        (Point::Committed, Executed::Once),
        (Point::Acked, Executed::Once),
        (Point::PublishWritten, Executed::AtLeastOnce),
        (Point::ConfirmSeen, Executed::AtLeastOnce),
        (Point::RelayMarked, Executed::Once),
    ] {
        let armed = format!("{}:abort", point.as_str());
        let mut daemon = platform.daemon_with(&[("COUNTERFOIL_FAILPOINT", &armed)])?;
        let started = start(&platform, session(add)?).await?;
        eventually("the daemon to end", PATIENCE, async || {
            Ok(daemon.has_ended()?.then_some(()))
        })
        .await
        .with_context(|| armed.clone())?;
        let _daemon = platform.daemon()?;
        let row = ended(&platform, &started, executed).await;
        let row = row.with_context(|| armed.clone())?;
        expect(&row, SessionStatus::Success, SUBTASKS)?;
    }
    Ok(())
}
