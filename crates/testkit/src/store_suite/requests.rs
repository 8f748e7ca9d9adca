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
    let known = async |expected: bool| {
        let claim = claim("ana", b"one", &second).await?;
        let is_known = match &claim {
            RequestClaim::Known {
                task_id, answered, ..
            } => *task_id == first && *answered == expected,
            RequestClaim::New | RequestClaim::Differs => false,
        };
        ensure!(is_known, "{claim:?}");
        Ok(())
    };
    ensure!(claim("ana", b"one", &first).await? == RequestClaim::New);
    known(false).await?;
    ensure!(claim("ana", b"two", &second).await? == RequestClaim::Differs);
    store.answer_request("ana", "key-1", &second).await?;
    known(false).await?;
    store.answer_request("ana", "key-1", &first).await?;
    known(true).await?;
    ensure!(claim("bob", b"two", &second).await? == RequestClaim::New);

    let day = Duration::from_secs(86_400);
    ensure!(store.forget_requests(day, 0).await? == 0, "all young");
    age(site, "ana").await?;
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

/// Nobody learns otherwise whether it is being sent. Of those that claim it again one may send it, and its age begins
/// anew; what was answered is not sent again.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_request_that_nobody_answers_is_claimed_again_by_one_once_it_is_old(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let [id, another] = std::array::from_fn(|_| TaskId::random());
    let age_of = async |id: &TaskId| match store.claim_request("ana", "key-1", b"one", id).await? {
        RequestClaim::Known { age, .. } => Ok(age),
        claim @ (RequestClaim::New | RequestClaim::Differs) => anyhow::bail!("{claim:?}"),
    };
    let hour = Duration::from_secs(3600);
    let renew = async |id: &TaskId| store.renew_request("ana", "key-1", id, hour).await;
    ensure!(store.claim_request("ana", "key-1", b"one", &id).await? == RequestClaim::New);
    ensure!(age_of(&another).await? < hour);
    ensure!(!renew(&id).await?, "it is young");
    age(site, "ana").await?;
    let told = age_of(&another).await?;
    ensure!(told > hour * 24, "{told:?}");
    ensure!(!renew(&another).await?, "not its");
    let renewed = futures::future::try_join_all((0..4).map(|_| renew(&id))).await?;
    ensure!(renewed.iter().filter(|renewed| **renewed).count() == 1);
    ensure!(age_of(&another).await? < hour);
    age(site, "ana").await?;
    store.answer_request("ana", "key-1", &id).await?;
    ensure!(!renew(&id).await?, "it is answered");
    Ok(())
}

/// It can be taken for another request then. What was answered stays.
///
/// # Errors
/// When the promise is broken or the database does not answer.
pub async fn a_request_that_came_to_nothing_gives_its_key_back(
    site: &StoreSite,
) -> anyhow::Result<()> {
    let store = site.store();
    let [first, second] = std::array::from_fn(|_| TaskId::random());
    let claim =
        async |digest: &[u8], id: &TaskId| store.claim_request("ana", "key-1", digest, id).await;
    ensure!(claim(b"one", &first).await? == RequestClaim::New);
    store.free_request("ana", "key-1", &second).await?;
    ensure!(claim(b"two", &second).await? == RequestClaim::Differs);
    store.free_request("ana", "key-1", &first).await?;
    ensure!(claim(b"two", &second).await? == RequestClaim::New);
    store.answer_request("ana", "key-1", &second).await?;
    store.free_request("ana", "key-1", &second).await?;
    ensure!(claim(b"one", &first).await? == RequestClaim::Differs);
    Ok(())
}

/// Makes all requests of somebody older than a day.
async fn age(site: &StoreSite, owner: &str) -> anyhow::Result<()> {
    let old = match site.url().starts_with("sqlite") {
        true => "'2020-01-01T00:00:00.000000Z'",
        false => "now() - interval '25 hours'",
    };
    let age = format!("UPDATE request_key SET created_at = {old} WHERE owner = '{owner}'");
    site.execute(&age).await
}
