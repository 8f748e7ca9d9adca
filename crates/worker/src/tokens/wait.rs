//! How an execution comes by its token, and by a slot without keeping tokens from others meanwhile.

use super::{AT_ONCE, Limit, PATIENCE, Token};
use crate::ended::Ended;
use crate::execute::Execution;
use crate::registry::Registered;
use crate::slots::Permit;
use std::time::Duration;

impl Execution {
    /// A token for the task, or why it gets none; `None`: it needs none.
    pub(crate) async fn wait_for_token(&self, task: &Registered) -> Result<Option<Token>, Ended> {
        let Some(limit) = self.limit_of(task) else {
            return Ok(None);
        };
        let token = self.take(limit, PATIENCE).await?;
        token.map(Some).map_err(Ended::NoToken)
    }

    /// A slot beside `token`. Whoever waits in line for one holds no token, which others could use.
    pub(crate) async fn wait_for_slot_beside(
        &self,
        task: &Registered,
        token: Option<Token>,
    ) -> Result<(Permit, Option<Token>), Ended> {
        let (Some(limit), Some(mut token)) = (self.limit_of(task), token) else {
            return Ok((self.wait_for_place().await?, None));
        };
        loop {
            if let Some(slot) = self.shared.slots.try_take()
                && self.may_begin()
            {
                return Ok((slot, Some(token)));
            }
            drop(token);
            let slot = self.wait_for_place().await?;
            if let Ok(token) = self.take(limit, AT_ONCE).await? {
                return Ok((slot, Some(token)));
            }
            drop(slot);
            self.time_left()?;
            token = self.take(limit, PATIENCE).await?.map_err(Ended::NoToken)?;
        }
    }

    fn limit_of(&self, task: &Registered) -> Option<&Limit> {
        task.options.max_concurrency_global?;
        self.shared.tokens.of(&task.name)
    }

    async fn take(
        &self,
        limit: &Limit,
        patience: Duration,
    ) -> Result<Result<Token, Duration>, Ended> {
        let draining = self.shared.stop.draining();
        let taken = draining.run_until_cancelled(limit.take(patience)).await;
        taken.ok_or(Ended::Stopped)
    }
}
