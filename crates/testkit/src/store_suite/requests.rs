//! Requests that may be repeated.

use super::site::StoreSite;
use anyhow::ensure;
use counterfoil_store::RequestClaim;
use counterfoil_toolbox::ids::TaskId;
use std::time::Duration;

/// Told which task that was, and whether it is known to be sent. Another owner's key is another key.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_request_that_is_repeated_is_known_and_another_one_is_refused(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let [first, second] = std::array::from_fn(|_| TaskId::random());
    let claim = async |owner: &str, digest: &[u8], id: &TaskId| {
        store.claim_request(owner, "key-1", digest, id).await
    };
    let known = |answered| RequestClaim::Known {
        task_id: first.clone(),
        answered,
    };
    ensure!(claim("ana", b"one", &first).await? == RequestClaim::New);
    ensure!(claim("ana", b"one", &second).await? == known(false));
    ensure!(claim("ana", b"two", &second).await? == RequestClaim::Differs);
    store.answer_request("ana", "key-1", &second).await?;
    ensure!(
        claim("ana", b"one", &second).await? == known(false),
        "not its"
    );
    store.answer_request("ana", "key-1", &first).await?;
    ensure!(claim("ana", b"one", &second).await? == known(true));
    ensure!(claim("bob", b"two", &second).await? == RequestClaim::New);

    let day = Duration::from_secs(86_400);
    ensure!(store.forget_requests(day, 0).await? == 0, "all young");
    let old = match site.url().starts_with("sqlite") {
        true => "'2020-01-01T00:00:00.000000Z'",
        false => "now() - interval '25 hours'",
    };
    let age = format!("UPDATE request_key SET created_at = {old} WHERE owner = 'ana'");
    site.execute(&age).await?;
    ensure!(store.forget_requests(day, 0).await? == 1);
    ensure!(claim("ana", b"two", &second).await? == RequestClaim::New);
    Ok(())
}

/// And all others are told which.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn of_requests_at_the_same_time_one_is_new(site: &StoreSite) -> anyhow::Result<()> {
    let ids: Vec<TaskId> = (0..8).map(|_| TaskId::random()).collect();
    let other = site.another().await?;
    let claims = ids.iter().enumerate().map(|(nth, id)| {
        let store = if nth % 2 == 0 { site.store() } else { &*other };
        store.claim_request("ana", "key-1", b"one", id)
    });
    let claims = futures::future::try_join_all(claims).await?;
    let new = claims.iter().position(|claim| *claim == RequestClaim::New);
    let winner = new.map(|nth| ids[nth].clone());
    let told = claims.iter().filter(|claim| match claim {
        RequestClaim::Known { task_id, .. } => Some(task_id) == winner.as_ref(),
        RequestClaim::New | RequestClaim::Differs => false,
    });
    ensure!(told.count() == ids.len() - 1, "{claims:?}");
    Ok(())
}
