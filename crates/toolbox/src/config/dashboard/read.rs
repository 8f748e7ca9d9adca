//! The section of the dashboard, field by field.

use super::{AccessRole, DashboardSettings, ProxySettings, TokenSettings, UserSettings};
use crate::config::read::Section;
use crate::config::role::{Needs, Profile};
use crate::text::InvalidText;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

const ROLES: [(&str, AccessRole); 3] = [
    ("viewer", AccessRole::Viewer),
    ("operator", AccessRole::Operator),
    ("admin", AccessRole::Admin),
];

/// Most of a session's time: a cookie that is stolen works as long.
const LONGEST_SESSION: Duration = Duration::from_secs(30 * 24 * 3600);

pub(in crate::config) fn dashboard(
    mut s: Section<'_>,
    profile: Profile,
    needs: Needs,
) -> DashboardSettings {
    let default = DashboardSettings::default();
    let mut settings = DashboardSettings {
        bind: s.text("bind").unwrap_or(default.bind),
        public_url: s.text("public_url"),
        secret: s.secret("secret", "secret_file"),
        session_lifetime: s
            .duration("session_lifetime", Duration::from_secs(60))
            .unwrap_or(default.session_lifetime)
            .min(LONGEST_SESSION),
        masked: s
            .names("masked")
            .map_or(default.masked, |names: Vec<Word>| {
                names.into_iter().map(|Word(name)| name).collect()
            }),
        embed_from: s
            .names("embed_from")
            .unwrap_or_default()
            .into_iter()
            .map(|Origin(origin)| origin)
            .collect(),
        users: BTreeMap::new(),
        tokens: BTreeMap::new(),
        proxy: None,
        trusted_proxies: addresses(&mut s, "trusted_proxies").unwrap_or_default(),
    };
    s.sub("users").each(|name, user| {
        let found = read_user(user);
        settings
            .users
            .extend(found.map(|user| (name.to_owned(), user)));
    });
    s.sub("tokens").each(|name, token| {
        let found = read_token(token);
        settings
            .tokens
            .extend(found.map(|token| (name.to_owned(), token)));
    });
    settings.proxy = (!s.is_unset("proxy")).then(|| read_proxy(s.sub("proxy")));
    check(&mut s, &settings, profile, needs);
    s.finish();
    settings
}

fn check(s: &mut Section<'_>, settings: &DashboardSettings, profile: Profile, needs: Needs) {
    let names_port = |bind: &str| {
        bind.rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if !names_port(&settings.bind) {
        s.fault(
            "bind",
            "an address with a port was expected: \"127.0.0.1:8090\"",
        );
    } else if needs.people && !settings.knows_people() {
        let remedy = "add [dashboard.users.<name>] with a password_hash, as `counterfoil-dashboard hash-password` prints it";
        if profile == Profile::Production {
            s.fault("users", format!("missing: nobody could sign in; {remedy}"));
        } else if !settings.is_loopback() {
            let problem = format!(
                "others can reach {}, and nobody has to sign in: {remedy}, or bind 127.0.0.1",
                settings.bind
            );
            s.fault("bind", problem);
        }
    }
    let is_public = settings
        .public_url
        .as_deref()
        .is_some_and(|url| !is_of_this_machine(url));
    if needs.people && is_public && !settings.knows_people() {
        let problem = "others reach the dashboard by it, and nobody has to sign in: add [dashboard.users.<name>], or \
                       leave it out";
        s.fault("public_url", problem);
    }
    if needs.people && settings.proxy.is_some() && settings.public_url.is_none() {
        let problem = "missing: a proxy has people signed in, and only what was meant for its address is believed; name \
                       the one that browsers know, such as \"https://tasks.example.org\"";
        s.fault("public_url", problem);
    }
    if settings
        .public_url
        .as_deref()
        .is_some_and(|url| !is_origin(url))
    {
        s.fault(
            "public_url",
            "scheme and host were expected, and no path: \"https://tasks.example.org\"",
        );
    }
}

/// Whether an address leads to this machine alone.
fn is_of_this_machine(url: &str) -> bool {
    let host = url.split_once("://").map_or("", |(_, host)| host);
    let host = host.trim_end_matches('/');
    let name = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |address: IpAddr| address.is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

fn read_user(s: &mut Section<'_>) -> Option<UserSettings> {
    let hash = s.secret("password_hash", "password_hash_file");
    let role = s.one_of("role", &ROLES).unwrap_or_default();
    let expected =
        "the line that `counterfoil-dashboard hash-password` prints was expected: \"$argon2id$…\"";
    match hash {
        Some(hash) if hash.expose_secret().starts_with("$argon2id$") => Some(UserSettings {
            password_hash: hash,
            role,
        }),
        Some(_) | None => {
            s.fault("password_hash", expected);
            None
        }
    }
}

fn read_token(s: &mut Section<'_>) -> Option<TokenSettings> {
    let digest = s.text("digest").unwrap_or_default().to_lowercase();
    let role = s.one_of("role", &ROLES).unwrap_or_default();
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_digest {
        let expected =
            "64 hexadecimal digits were expected, as `counterfoil-dashboard new-token` prints them";
        s.fault("digest", expected);
        return None;
    }
    Some(TokenSettings { digest, role })
}

fn read_proxy(mut s: Section<'_>) -> ProxySettings {
    let default = ProxySettings::default();
    let lower = |text: String| text.to_lowercase();
    let proxy = ProxySettings {
        user_header: s.text("user_header").map_or(default.user_header, lower),
        role_header: s.text("role_header").map(lower),
        role: s.one_of("role", &ROLES).unwrap_or_default(),
        from: addresses(&mut s, "from").unwrap_or(default.from),
    };
    s.finish();
    proxy
}

fn addresses(s: &mut Section<'_>, key: &'static str) -> Option<Vec<IpAddr>> {
    let addresses: Vec<Address> = s.names(key)?;
    Some(addresses.into_iter().map(|Address(it)| it).collect())
}

/// A word of a list.
struct Word(String);

impl FromStr for Word {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_lowercase()))
    }
}

/// Whether `url` is a scheme and a host, and nothing else.
fn is_origin(url: &str) -> bool {
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    host.is_some_and(|host| {
        let host = host.strip_suffix('/').unwrap_or(host);
        let is_of_hosts = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        !host.is_empty() && host.chars().all(is_of_hosts)
    })
}

/// An origin of a list.
struct Origin(String);

impl FromStr for Origin {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match is_origin(text) {
            true => Ok(Self(text.trim_end_matches('/').to_owned())),
            false => Err(InvalidText::new(
                "origin",
                text,
                "of the form https://example.org was expected",
            )),
        }
    }
}

/// An address of a list.
struct Address(IpAddr);

impl FromStr for Address {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.parse();
        address
            .map(Self)
            .map_err(|_| InvalidText::new("IP address", text, "of the form 127.0.0.1 was expected"))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
