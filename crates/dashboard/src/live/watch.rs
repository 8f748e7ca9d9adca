//! Looking what has changed, while somebody watches.

use super::tick::News;
use super::{Rows, Tick};
use crate::app::App;
use counterfoil_store::{Changed, Changes, FeedPosition, Store, StoreError};
use counterfoil_toolbox::error::ErrorChain;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Pause between two looks. What changes is seen half of it later on average, and once it is written down.
const LOOK: Duration = Duration::from_millis(400);

/// How often all who watch are told to read everything anew, at most: right after a crash the feed has no mark yet by
/// which it could tell what is new.
const RELOAD: Duration = Duration::from_secs(5);

/// Tasks that are told one by one: several thousand a second. Who gets so much reads everything anew instead.
const MOST: usize = 2000;

/// Looks while somebody watches, until `stop`.
pub(crate) async fn watch(app: Arc<App>, stop: CancellationToken) {
    let looking = async {
        loop {
            app.live.somebody.notified().await;
            follow(&app).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = looking => {}
    }
}

/// Looks until nobody watches any more.
async fn follow(app: &App) {
    let mut position = None;
    let mut is_away = false;
    let mut reloaded: Option<Instant> = None;
    while app.live.ticks.receiver_count() > 0 {
        let next = Instant::now() + LOOK;
        match look(&*app.store, position.as_ref(), app.live.needed()).await {
            Ok((tick, at)) => {
                let tick = match is_away {
                    true => Some(Tick::Reload {
                        position: at.to_string(),
                    }),
                    false => tick,
                };
                let is_reload = matches!(tick, Some(Tick::Reload { .. }));
                if is_reload && reloaded.is_some_and(|at| at.elapsed() < RELOAD) {
                    // The position stays: what is not told now is told then.
                    sleep_until(next).await;
                    continue;
                }
                if is_reload {
                    reloaded = Some(Instant::now());
                }
                if let Some(tick) = tick {
                    tell(app, tick);
                }
                (position, is_away) = (Some(at), false);
            }
            Err(error) => {
                if !is_away {
                    let error = ErrorChain(&error).to_string();
                    tracing::warn!(%error, "what changes cannot be looked at");
                    tell(app, Tick::Outage("the database does not answer".to_owned()));
                }
                is_away = true;
            }
        }
        sleep_until(next).await;
    }
}

fn tell(app: &App, tick: Tick) {
    // Nobody may be left: then nobody misses it.
    let _ = app.live.ticks.send(Arc::new(tick));
}

/// What changed since `position`, if something did, and where to look next.
async fn look(
    store: &dyn Store,
    position: Option<&FeedPosition>,
    rows: Rows,
) -> Result<(Option<Tick>, FeedPosition), StoreError> {
    let Some(position) = position else {
        // Who begins to watch has read rows before: what changed in between is not known.
        let at = store.feed_position().await?;
        let position = at.to_string();
        return Ok((Some(Tick::Reload { position }), at));
    };
    Ok(match store.changes_since(position).await? {
        Changes::TooOld(at) => {
            let position = at.to_string();
            (Some(Tick::Reload { position }), at)
        }
        Changes::Since(changed) if changed.is_empty() => (None, changed.position),
        Changes::Since(changed) => {
            let at = changed.position.clone();
            (Some(told(store, changed, rows).await?), at)
        }
    })
}

/// What changed, with the rows as they are now; where that is much, that everything is to be read anew.
pub(super) async fn told(
    store: &dyn Store,
    changed: Changed,
    rows: Rows,
) -> Result<Tick, StoreError> {
    if rows == Rows::Spared {
        return Ok(Tick::Changed(News::new(changed, None)));
    }
    if changed.tasks.len() > MOST {
        let position = changed.position.to_string();
        return Ok(Tick::Reload { position });
    }
    let ids: Vec<String> = changed.tasks.iter().cloned().collect();
    let rows = match ids.is_empty() {
        true => Vec::new(),
        false => store.tasks_with_public_ids(&ids).await?,
    };
    Ok(Tick::Changed(News::new(changed, Some(rows))))
}
