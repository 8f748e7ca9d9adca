//! What chords are told that hold much, or that cannot be told.

use super::chords::{chord, end, told, wait_for};
use crate::store_suite::{StoreSite, event, lineage};
use anyhow::ensure;
use counterfoil_toolbox::config::CeleryEncoding;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::state::Lineage;
use counterfoil_toolbox::state::TaskState::{Failure, Pending, Success};
use serde_json::json;
use serde_json::value::RawValue;

/// # Errors
/// When the promise is broken.
pub async fn no_more_is_asked_for_of_results_than_a_message_holds(
    site: &StoreSite,
) -> anyhow::Result<()> {
    for with_results in [false, true] {
        if with_results {
            site.store()
                .keep_celery_results(CeleryEncoding::Json)
                .await?;
        }
        for (fails, wanted) in [
            (None, "take more than 15 MiB"),
            (Some(1), "no such project"),
            (Some(16), "take more than 15 MiB"),
        ] {
            let members: Vec<_> = (0..17).map(|_| TaskId::random()).collect();
            for (n, member) in members.iter().enumerate() {
                let mut done = match fails == Some(n) {
                    true => event(member, lineage(0, 0, 0), Failure),
                    false => event(member, lineage(0, 0, 0), Success),
                };
                if fails != Some(n) {
                    let result = format!("\"{}\"", "x".repeat(1_000_000));
                    done.result = RawValue::from_string(result).ok();
                }
                end(site, done).await?;
            }
            let waited = chord(&members);
            wait_for(site, &waited).await?;
            let found = told(site, &waited).await?;
            let message = found["failed"]["message"].as_str().unwrap_or_default();
            ensure!(message.contains(wanted), "{fails:?}: {message}");
        }
    }
    Ok(())
}

/// # Errors
/// When the promise is broken.
pub async fn a_chord_that_cannot_be_told_of_now_lets_others_go_first(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let members = [(); 2].map(|()| TaskId::random());
    let [stuck, fine] = members.clone().map(|member| chord(&[member]));
    for chord in [&stuck, &fine] {
        end(site, event(&chord.members[0], lineage(0, 0, 0), Success)).await?;
        wait_for(site, chord).await?;
    }
    site.execute(&format!(
        "UPDATE chord SET created_date = '2026-01-01T00:00:00.000000Z' WHERE id = '{}'",
        stuck.id
    ))
    .await?;
    let (create, drop) = refusal(site, &stuck.id);
    for statement in create {
        site.execute(&statement).await?;
    }
    // As if hundreds were stuck: one is looked at in a round.
    ensure!(site.store().unlock_chords(1).await? == 0);
    ensure!(site.store().unlock_chords(1).await? == 1, "the other one");
    ensure!(told(site, &fine).await? == json!({"results": [3]}));
    site.execute(drop).await?;
    ensure!(told(site, &stuck).await?.is_null(), "it is put off");
    site.execute("UPDATE chord SET put_off_until = '2026-01-01T00:00:00.000000Z'")
        .await?;
    ensure!(told(site, &stuck).await? == json!({"results": [3]}));
    Ok(())
}

/// Statements that let nothing be told of a chord, for a reason that passes, and one that ends that.
fn refusal(site: &StoreSite, id: &TaskId) -> (Vec<String>, &'static str) {
    match site.url().starts_with("postgres") {
        true => {
            let function = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 RAISE EXCEPTION 'busy' USING ERRCODE = '40001'; END $$";
            let trigger = format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON outbox FOR EACH ROW WHEN (NEW.key = 'chord:{id}') \
                 EXECUTE FUNCTION refuse()"
            );
            (
                vec![function.to_owned(), trigger],
                "DROP TRIGGER refuse ON outbox",
            )
        }
        false => {
            let trigger = format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON outbox WHEN NEW.key = 'chord:{id}' \
                 BEGIN SELECT RAISE(ABORT, 'busy'); END"
            );
            (vec![trigger], "DROP TRIGGER refuse")
        }
    }
}

/// # Errors
/// When the promise is broken.
pub async fn a_task_that_runs_again_is_waited_for_though_a_later_one_was(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let members = [(); 3].map(|()| TaskId::random());
    let waited = chord(&members);
    wait_for(site, &waited).await?;
    for member in &members[..2] {
        end(site, event(member, lineage(0, 0, 0), Success)).await?;
    }
    ensure!(told(site, &waited).await?.is_null(), "the last one runs");
    let position = site.text("SELECT max(waits_from) || '' FROM chord").await?;
    ensure!(position.as_deref() == Some("2"), "{position:?}");
    let again = Lineage {
        run: 1,
        ..Lineage::default()
    };
    end(site, event(&members[0], again, Pending)).await?;
    end(site, event(&members[2], lineage(0, 0, 0), Success)).await?;
    ensure!(told(site, &waited).await?.is_null(), "the first runs again");
    end(site, event(&members[0], again, Success)).await?;
    ensure!(told(site, &waited).await? == json!({"results": [3, 3, 3]}));
    Ok(())
}
