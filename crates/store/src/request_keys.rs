//! Keys under which a caller may repeat a request without a second task.

use crate::error::StoreError;
use async_trait::async_trait;
use counterfoil_toolbox::ids::TaskId;
use sqlx::FromRow;
use std::time::Duration;

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestClaim {
    /// Nothing: the key is taken for this one, and its task is to be sent.
    New,
    /// It was made before.
    Known {
        /// The task that was meant for it then: the one to send, or to answer with.
        task_id: TaskId,
        /// Whether it is certain that this was sent. If not, it may have been, or is being sent right now.
        answered: bool,
        /// How long ago it was claimed, or [renewed](RequestKeys::renew_request): by the database's clock.
        age: Duration,
    },
    /// The key was used for another request.
    Differs,
}

/// Keys of requests. Part of [`Store`](crate::Store).
#[async_trait]
pub trait RequestKeys: Send + Sync {
    /// Takes a key of an owner for a request with this digest and the task that would be sent for it, or tells
    /// what is known under it. Of several that claim at the same time one is new. Owner and key are told apart by
    /// their first 500 bytes.
    async fn claim_request(
        &self,
        owner: &str,
        key: &str,
        digest: &[u8],
        task_id: &TaskId,
    ) -> Result<RequestClaim, StoreError>;

    /// Notes that the task of a request was sent: the broker has confirmed it. Without effect where the key stands
    /// for another task.
    async fn answer_request(
        &self,
        owner: &str,
        key: &str,
        task_id: &TaskId,
    ) -> Result<(), StoreError>;

    /// Claims a request once more that was claimed at least so long ago and not answered: whoever is told `true` may
    /// send its task again, and of several at the same time that is one. `false`: somebody else has claimed it since,
    /// or it was answered.
    async fn renew_request(
        &self,
        owner: &str,
        key: &str,
        task_id: &TaskId,
        age: Duration,
    ) -> Result<bool, StoreError>;

    /// Gives the key of a request back whose task was certainly not sent: it may be claimed for another one. Without
    /// effect where it was answered, or stands for another task.
    async fn free_request(
        &self,
        owner: &str,
        key: &str,
        task_id: &TaskId,
    ) -> Result<(), StoreError>;

    /// Forgets requests of so long ago: at most so many, up to 10,000. Tells how many those were.
    async fn forget_requests(&self, age: Duration, limit: u32) -> Result<usize, StoreError>;
}

/// A row of `request_key.sql`.
#[derive(Debug, FromRow)]
pub(crate) struct KnownRequest {
    digest: Vec<u8>,
    task_id: String,
    answered: bool,
    age_s: f64,
}

impl KnownRequest {
    /// `None`: what stands there is no task.
    pub(crate) fn claim(self, digest: &[u8]) -> RequestClaim {
        match TaskId::new(&self.task_id) {
            Ok(task_id) if self.digest == digest => RequestClaim::Known {
                task_id,
                answered: self.answered,
                // Clocks are set back at times.
                age: Duration::try_from_secs_f64(self.age_s).unwrap_or_default(),
            },
            // What is no task was never ours.
            Ok(_) | Err(_) => RequestClaim::Differs,
        }
    }
}

/// Implements [`RequestKeys`] for a store that has what [`implement_store!`](crate::calls::implement_store) needs.
macro_rules! implement_request_keys {
    ($store:ty) => {
        #[async_trait::async_trait]
        impl crate::request_keys::RequestKeys for $store {
            async fn claim_request(
                &self,
                owner: &str,
                key: &str,
                digest: &[u8],
                task_id: &TaskId,
            ) -> Result<crate::request_keys::RequestClaim, StoreError> {
                const WHAT: &str = "claim the key of a request";
                let (owner, key) = (cleaned(owner, INDEXED), cleaned(key, INDEXED));
                // Between the two questions it may be forgotten; not twice.
                for _ in 0..2 {
                    let claim = query(self.sql.flow.insert_request_key)
                        .bind(&*owner)
                        .bind(&*key)
                        .bind(digest)
                        .bind(task_id.as_str());
                    if self.changes(WHAT, claim).await? {
                        break;
                    }
                    let known = query_as(self.sql.flow.request_key)
                        .bind(&*owner)
                        .bind(&*key);
                    let mut known: Vec<crate::request_keys::KnownRequest> =
                        self.all(WHAT, known).await?;
                    if let Some(known) = known.pop() {
                        return Ok(known.claim(digest));
                    }
                }
                Ok(crate::request_keys::RequestClaim::New)
            }

            async fn answer_request(
                &self,
                owner: &str,
                key: &str,
                task_id: &TaskId,
            ) -> Result<(), StoreError> {
                let answered = query(self.sql.flow.answer_request)
                    .bind(cleaned(owner, INDEXED).into_owned())
                    .bind(cleaned(key, INDEXED).into_owned())
                    .bind(task_id.as_str());
                self.execute("note that a request was answered", answered)
                    .await
            }

            async fn renew_request(
                &self,
                owner: &str,
                key: &str,
                task_id: &TaskId,
                age: Duration,
            ) -> Result<bool, StoreError> {
                let renewed = query(self.sql.flow.renew_request_key)
                    .bind(cleaned(owner, INDEXED).into_owned())
                    .bind(cleaned(key, INDEXED).into_owned())
                    .bind(task_id.as_str())
                    .bind(age.as_secs_f64());
                self.changes("claim a request once more", renewed).await
            }

            async fn free_request(
                &self,
                owner: &str,
                key: &str,
                task_id: &TaskId,
            ) -> Result<(), StoreError> {
                let freed = query(self.sql.flow.free_request_key)
                    .bind(cleaned(owner, INDEXED).into_owned())
                    .bind(cleaned(key, INDEXED).into_owned())
                    .bind(task_id.as_str());
                self.execute("give the key of a request back", freed).await
            }

            async fn forget_requests(
                &self,
                age: Duration,
                limit: u32,
            ) -> Result<usize, StoreError> {
                let old = query(self.sql.flow.delete_old_request_keys)
                    .bind(crate::retention::seconds(age))
                    .bind(row_limit(limit));
                self.changed("forget requests", old).await
            }
        }
    };
}
pub(crate) use implement_request_keys;
