//! Waiting for something to become true, with a deadline.

use std::env;
use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

/// How often [`eventually`] looks again.
const POLL: Duration = Duration::from_millis(20);

/// `deadline` on this machine: multiplied by `COUNTERFOIL_TEST_SLOW` where that is set, so that a
/// slow machine waits longer instead of failing.
#[must_use]
pub fn patience(deadline: Duration) -> Duration {
    let factor = env::var("COUNTERFOIL_TEST_SLOW")
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    deadline * factor.unwrap_or(1).max(1)
}

/// Asks `probe` until it answers something, and returns that.
///
/// For what only a server knows and does not announce, such as the depth of a queue. `what` completes
/// the sentence "waited 5 s for …". The deadline is stretched by [`patience`].
///
/// ```
/// use counterfoil_testkit::eventually;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let mut answers = [None, None, Some(7)].into_iter();
/// # let mut depth = async || -> anyhow::Result<Option<u32>> { Ok(answers.next().flatten()) };
/// let seven = eventually("seven messages", Duration::from_secs(5), async || {
///     Ok(depth().await?.filter(|ready| *ready == 7))
/// });
/// assert_eq!(seven.await?, 7);
/// # Ok(()) }
/// ```
///
/// # Errors
/// When `probe` fails, or has answered nothing when the deadline passes.
pub async fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let within = patience(within);
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = probe().await? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited {within:?} in vain for {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::eventually;
    use std::time::Duration;

    #[tokio::test]
    async fn waiting_in_vain_says_for_what() {
        let never = async || Ok(None::<()>);
        let error = eventually("godot", Duration::from_millis(30), never)
            .await
            .expect_err("the probe never answers");
        assert!(error.to_string().ends_with("in vain for godot"), "{error}");
    }

    #[tokio::test]
    async fn the_first_answer_ends_the_wait() -> anyhow::Result<()> {
        let mut asked = 0;
        let answer = eventually("three", Duration::from_secs(5), async || {
            asked += 1;
            Ok((asked == 3).then_some(asked))
        })
        .await?;
        assert_eq!(answer, 3);
        Ok(())
    }
}
