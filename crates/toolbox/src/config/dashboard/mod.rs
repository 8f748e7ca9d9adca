//! The dashboard: where it listens, and who may do what.

mod read;

pub(super) use read::dashboard;

use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The web dashboard. `[dashboard]`
///
/// ```
/// use counterfoil_toolbox::config::{AccessRole, DashboardSettings};
///
/// let settings = DashboardSettings::default();
/// assert!(settings.is_loopback()); // so that nobody has to sign in
/// assert!(AccessRole::Admin > AccessRole::Viewer);
/// ```
#[derive(Debug, Clone)]
pub struct DashboardSettings {
    /// Where it listens, `host:port`. Default: `127.0.0.1:8090`. An address that others can reach is refused
    /// while nobody has to sign in: without `users`, `tokens` and `proxy`.
    pub bind: String,
    /// The address that browsers know it by, `https://tasks.example.org`, where that is not the one that they
    /// name in `Host`. With `https://` its cookies are sent over TLS alone. Needed with `proxy`. Default: none.
    pub public_url: Option<String>,
    /// Key of cookies and signed links; all processes of one dashboard need the same. Default: derived from
    /// `database.id_secret`. A new one signs everybody out.
    pub secret: Option<SecretString>,
    /// After how long people have to sign in again. Default: 12 h.
    pub session_lifetime: Duration,
    /// Names of fields whose values are shown to nobody, in arguments and results, at any depth; compared
    /// by their letters and digits, as parts of names: `api_key` masks `X-Api-Key` and `myApiKey`, too. Default:
    /// `password`, `passwd`, `passphrase`, `secret`, `token`, `api_key`, `authorization`, `cookie`, `credential`,
    /// `private_key`.
    pub masked: Vec<String>,
    /// Origins of pages that may show the fragment of a signed link in a frame, `https://example.org`. Default:
    /// none but this dashboard's own.
    pub embed_from: Vec<String>,
    /// Who may sign in, by name. `[dashboard.users.<name>]`
    pub users: BTreeMap<String, UserSettings>,
    /// What programs may call the API with, by name. `[dashboard.tokens.<name>]`
    pub tokens: BTreeMap<String, TokenSettings>,
    /// A proxy in front that has people signed in. `[dashboard.proxy]` Default: none, and nobody's headers are
    /// believed.
    pub proxy: Option<ProxySettings>,
    /// Addresses of proxies in front that add to `X-Forwarded-For` whom they were called by, as those that end
    /// TLS do: sign-ins are counted by what they tell. Those of `proxy.from` are such, too. Default: none.
    pub trusted_proxies: Vec<IpAddr>,
}

/// Somebody who may sign in.
#[derive(Debug, Clone)]
pub struct UserSettings {
    /// Argon2id hash of the password, as `counterfoil-dashboard hash-password` prints it: `$argon2id$…`.
    pub password_hash: SecretString,
    /// What they may do. Default: viewer.
    pub role: AccessRole,
}

/// What a program may call the API with.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// SHA-256 of the token in hexadecimal digits, as `counterfoil-dashboard new-token` prints it.
    pub digest: String,
    /// What it may do. Default: viewer.
    pub role: AccessRole,
}

/// A proxy that has people signed in, by OpenID Connect for example, and says who they are. It must not pass
/// on such headers of its clients', and has to pass on their `Host`: only requests to the host of `public_url` are
/// answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySettings {
    /// Header that names the person. Default: `x-forwarded-user`.
    pub user_header: String,
    /// Header that names what they may do: `viewer`, `operator` or `admin`. Default: none.
    pub role_header: Option<String>,
    /// What they may do where no header says it. Default: viewer.
    pub role: AccessRole,
    /// Addresses that the proxy calls from; the headers of others are not believed. Default: `127.0.0.1` and
    /// `::1`.
    pub from: Vec<IpAddr>,
}

/// What somebody may do; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AccessRole {
    /// Look.
    #[default]
    Viewer,
    /// Cancel, run again, pause, redrive, send.
    Operator,
    /// Delete and discard, and see what people did.
    Admin,
}

impl AccessRole {
    /// All of them, the one that may do least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for AccessRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

const MASKED: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "authorization",
    "cookie",
    "credential",
    "private_key",
];

impl Default for DashboardSettings {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:8090".to_owned(),
            public_url: None,
            secret: None,
            session_lifetime: Duration::from_secs(12 * 3600),
            masked: MASKED.map(str::to_owned).to_vec(),
            embed_from: Vec::new(),
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
            proxy: None,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self {
            user_header: "x-forwarded-user".to_owned(),
            role_header: None,
            role: AccessRole::Viewer,
            from: vec![
                IpAddr::from([127, 0, 0, 1]),
                IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            ],
        }
    }
}

impl DashboardSettings {
    /// Whether it listens where only this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.bind.rsplit_once(':').map_or("", |(host, _)| host);
        match self.bind.parse::<SocketAddr>() {
            Ok(address) => address.ip().is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether people or programs have to say who they are.
    #[must_use]
    pub fn knows_people(&self) -> bool {
        !self.users.is_empty() || !self.tokens.is_empty() || self.proxy.is_some()
    }
}
