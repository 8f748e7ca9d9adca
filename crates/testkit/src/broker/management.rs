//! The management API of a broker.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::http::{self, Response};
use crate::wait::patience;

const DEADLINE: Duration = Duration::from_secs(20);

/// A client of one broker's management API.
///
/// Paths begin after `/api`, and names in them are percent-encoded.
///
/// ```no_run
/// # async fn example() -> anyhow::Result<()> {
/// let vhost = counterfoil_testkit::Broker::shared().await?.vhost().await?;
/// let queue = vhost.broker().management().get(&format!("/queues/{}/image", vhost.name())).await?;
/// println!("{} messages", queue["messages"]);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Management {
    /// Host and port.
    server: String,
    authorization: String,
}

impl Management {
    /// A client for `http://user:password@host:port`.
    ///
    /// # Errors
    /// When `url` is not of that form.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let (account, server) = url
            .strip_prefix("http://")
            .and_then(|rest| rest.trim_end_matches('/').rsplit_once('@'))
            .context("the management URL is not http://user:password@host:port")?;
        let (user, password) = account.split_once(':').unwrap_or((account, ""));
        let authorization = http::basic_authorization(user, password);
        Ok(Self {
            server: server.to_owned(),
            authorization,
        })
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// When the broker does not answer within 20 s, or answers with anything but success.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call("GET", path, None).await
    }

    /// Creates or replaces a resource.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.call("PUT", path, Some(body)).await.map(drop)
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call("POST", path, Some(body)).await
    }

    /// Deletes a resource; one that is gone already is no error.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let response = self.send("DELETE", path, &[]).await?;
        if response.status == 404 {
            return Ok(());
        }
        answer("DELETE", path, &response).map(drop)
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let response = self.send(method, path, body.as_bytes()).await?;
        answer(method, path, &response)
    }

    async fn send(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Response> {
        let path = format!("/api{path}");
        let sending = http::send(&self.server, &self.authorization, method, &path, body);
        tokio::time::timeout(patience(DEADLINE), sending)
            .await
            .with_context(|| format!("{method} {path}: no answer within {DEADLINE:?}"))?
            .with_context(|| format!("{method} {path}"))
    }
}

fn answer(method: &str, path: &str, response: &Response) -> anyhow::Result<Value> {
    let text = String::from_utf8_lossy(&response.body);
    if !(200..300).contains(&response.status) {
        bail!(
            "{method} {path}: the broker answered {}: {text}",
            response.status
        );
    }
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("{method} {path}: not JSON: {text}"))
}

impl fmt::Debug for Management {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Management")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}
