//! What is told once in a while, however often it happens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// For how long the same is not told again.
const WINDOW: Duration = Duration::from_secs(60);

/// How many things are remembered; of more, nothing is told.
const REMEMBERED: usize = 10_000;

/// Tells what happens to somebody, from some address or from any, once a minute.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<HashMap<(String, Option<IpAddr>), Instant>>);

impl Seldom {
    /// Whether it is to be told now.
    pub(crate) fn is_due(&self, who: &str, from: Option<IpAddr>) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let about = (who.to_owned(), from);
        if told.get(&about).is_some_and(|at| at.elapsed() < WINDOW) {
            return false;
        }
        if told.len() >= REMEMBERED {
            told.retain(|_, at| at.elapsed() < WINDOW);
        }
        let has_room = told.len() < REMEMBERED;
        if has_room {
            told.insert(about, Instant::now());
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_told_once_a_minute_and_so_much_that_nobody_reads_it_is_not() {
        let seldom = Seldom::default();
        let from = |last: usize| Some(IpAddr::from((last as u128).to_be_bytes()));
        assert!(seldom.is_due("anna", from(1)));
        assert!(!seldom.is_due("anna", from(1)));
        assert!(seldom.is_due("anna", None));
        assert!(seldom.is_due("otto", from(1)));
        let told = (0..2 * REMEMBERED).filter(|last| seldom.is_due("berta", from(*last)));
        assert_eq!(told.count(), REMEMBERED - 3);
        tokio::time::advance(WINDOW).await;
        assert!(seldom.is_due("anna", from(1)));
        assert!(seldom.is_due("carla", None));
    }
}
