//! Who may do what on a vhost: users and their permissions.

use serde_json::json;
use uuid::Uuid;

use super::Vhost;

/// What a user may do: regular expressions over the names of exchanges and queues.
///
/// ```no_run
/// use counterfoil_testkit::{Broker, Permissions};
///
/// # async fn example() -> anyhow::Result<()> {
/// let vhost = Broker::shared().await?.vhost().await?;
/// let reader = vhost.user(Permissions { configure: "^$", write: "^$", read: "^image$" }).await?;
/// println!("{}", reader.amqp_url); // it may consume `image`, and nothing else
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Permissions<'a> {
    /// What it may declare and delete.
    pub configure: &'a str,
    /// What it may publish to and bind.
    pub write: &'a str,
    /// What it may consume and bind from.
    pub read: &'a str,
}

/// A user of one vhost. See [`Permissions`].
#[derive(Clone, Debug)]
pub struct User {
    /// Unique on the broker, so that tests do not meet.
    pub name: String,
    /// Logs in as this user.
    pub amqp_url: String,
}

impl Permissions<'_> {
    /// Everything.
    pub const ALL: Self = Self {
        configure: ".*",
        write: ".*",
        read: ".*",
    };
}

impl Vhost {
    /// Creates a user who may do what `permissions` say on this vhost, and nothing on others.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses a pattern.
    pub async fn user(&self, permissions: Permissions<'_>) -> anyhow::Result<User> {
        let name = format!("user-{}", Uuid::now_v7().simple());
        let password = Uuid::now_v7().simple().to_string();
        let body = json!({ "password": password, "tags": "" });
        self.management()
            .put(&format!("/users/{name}"), &body)
            .await?;
        self.users
            .lock()
            .expect("nobody panics while adding a name")
            .push(name.clone());
        self.set_permissions(&name, permissions).await?;
        let amqp_url = self.broker().vhost_url_as(self.name(), &name, &password);
        Ok(User { name, amqp_url })
    }

    /// Changes what a user may do on this vhost. A connection notices at its next command.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses a pattern.
    pub async fn set_permissions(
        &self,
        user: &str,
        permissions: Permissions<'_>,
    ) -> anyhow::Result<()> {
        let Permissions {
            configure,
            write,
            read,
        } = permissions;
        let body = json!({ "configure": configure, "write": write, "read": read });
        self.management()
            .put(&self.path("permissions", user), &body)
            .await
    }

    /// Limits the routing keys that a user may publish to (`write`) and bind from (`read`) on one
    /// exchange, by regular expressions. An exchange without such a rule allows every key.
    ///
    /// # Errors
    /// When the broker does not answer, or refuses a pattern.
    pub async fn set_topic_permissions(
        &self,
        user: &str,
        exchange: &str,
        write: &str,
        read: &str,
    ) -> anyhow::Result<()> {
        let body = json!({ "exchange": exchange, "write": write, "read": read });
        self.management()
            .put(&self.path("topic-permissions", user), &body)
            .await
    }
}
