//! Who calls: by a token, a proxy's word, a cookie, or from this machine where nobody signs in.

use super::host;
use super::{Caller, Cookies, Seal};
use crate::shown::hex;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use chrono::{DateTime, Utc};
use counterfoil_toolbox::config::{AccessRole, DashboardSettings, ProxySettings};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// Somebody whom we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visitor {
    /// Name of the user or of the token.
    pub(crate) name: String,
    pub(crate) role: AccessRole,
    pub(crate) via: Via,
    /// Where the request came from, as far as we see.
    pub(crate) address: IpAddr,
    /// When the sign-in is over, if it ever is.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// How we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Via {
    /// A token in the header: no browser sends it by itself.
    Token,
    /// Something that browsers send by themselves, so that what changes something needs the token of a form.
    Browser {
        /// That token.
        form_token: String,
    },
}

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Known(Visitor),
    /// Nobody said who they are.
    Nobody,
    /// Somebody said something that is not true, and what.
    Refused(&'static str),
}

/// What the looking needs.
#[derive(Debug)]
pub(super) struct Looking<'a> {
    pub(super) settings: &'a DashboardSettings,
    pub(super) cookies: &'a Cookies,
    pub(super) seal: &'a Seal,
    pub(super) now: DateTime<Utc>,
}

/// Name of whoever calls from this machine where nobody has to sign in.
const LOCAL: &str = "local";

/// What proxies add to what they pass on.
const PASSED_ON: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "via",
];

impl Looking<'_> {
    /// Who sent these headers from `peer`, which may be a proxy.
    pub(super) fn look(&self, headers: &HeaderMap, peer: IpAddr) -> Found {
        let settings = self.settings;
        let Caller { address, .. } = Caller::of(settings, headers, peer);
        if let Some(value) = headers.get(AUTHORIZATION) {
            return self.by_token(value.to_str().unwrap_or_default(), address);
        }
        let (host, public_url) = (host::named(headers), settings.public_url.as_deref());
        if let Some(proxy) = &settings.proxy {
            // Under another name, somebody else's page may have led a browser here, past the proxy.
            if !host::is_public(host, public_url) {
                return Found::Refused("the name in Host is not that of dashboard.public_url");
            }
            match by_proxy(proxy, headers, peer) {
                Ok(Some((name, role))) => {
                    return Found::Known(self.in_browser(name, role, "proxy", address));
                }
                Ok(None) => {}
                Err(why) => return Found::Refused(why),
            }
        }
        let told = self.cookies.read(headers, &settings.users, self.now);
        if let Some(told) = told
            && let Some(user) = settings.users.get(&told.user)
        {
            let visitor = self.in_browser(told.user, user.role, &told.nonce, address);
            return Found::Known(Visitor {
                until: Some(told.until),
                ..visitor
            });
        }
        if settings.knows_people() {
            return Found::Nobody;
        }
        // Somebody elsewhere may be behind it.
        if PASSED_ON.iter().any(|name| headers.contains_key(*name)) {
            return Found::Refused("a proxy passed this on, and nobody has to sign in here");
        }
        match host::is_local(host, public_url) {
            true => {
                let name = LOCAL.to_owned();
                Found::Known(self.in_browser(name, AccessRole::Admin, LOCAL, address))
            }
            false => Found::Refused("the name in Host is not that of this machine"),
        }
    }

    fn by_token(&self, value: &str, address: IpAddr) -> Found {
        let Some(token) = value.strip_prefix("Bearer ") else {
            return Found::Refused("Authorization: Bearer and a token were expected");
        };
        let digest = digest(token.trim());
        let mut tokens = self.settings.tokens.iter();
        match tokens.find(|(_, known)| known.digest == digest) {
            Some((name, known)) => Found::Known(Visitor {
                name: name.clone(),
                role: known.role,
                via: Via::Token,
                address,
                until: None,
            }),
            None => Found::Refused("nobody has this token"),
        }
    }

    fn in_browser(&self, name: String, role: AccessRole, nonce: &str, address: IpAddr) -> Visitor {
        let form_token = self.seal.of("form", &[&name, nonce]);
        let via = Via::Browser { form_token };
        Visitor {
            name,
            role,
            via,
            address,
            until: None,
        }
    }
}

/// Longest name of somebody, in bytes.
const LONGEST_NAME: usize = 200;

/// Who a proxy says that it is, and what they may do. A role that is none of ours lets them look.
///
/// # Errors
/// What it says in several ways: one of them may be its client's.
fn by_proxy(
    proxy: &ProxySettings,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Result<Option<(String, AccessRole)>, &'static str> {
    if !proxy.from.contains(&peer.to_canonical()) {
        return Ok(None);
    }
    let Some(name) = told_once(headers, &proxy.user_header)? else {
        return Ok(None);
    };
    if name.len() > LONGEST_NAME {
        return Err("the proxy's name of somebody is longer than 200 bytes");
    }
    let role = match proxy.role_header.as_deref() {
        None => None,
        Some(header) => told_once(headers, header)?,
    };
    let known = |role: &str| AccessRole::ALL.into_iter().find(|it| it.as_str() == role);
    let role = role.map_or(proxy.role, |role| known(role).unwrap_or_default());
    Ok(Some((name.to_owned(), role)))
}

/// What a header says, which may be there once.
fn told_once<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, &'static str> {
    let mut told = headers.get_all(name).iter();
    let first = told.next();
    if told.next().is_some() {
        return Err("a header of the proxy's is there more than once");
    }
    let text = first.map(|value| std::str::from_utf8(value.as_bytes()));
    let text = text
        .transpose()
        .map_err(|_| "a header of the proxy's is no text")?;
    Ok(text.map(str::trim).filter(|text| !text.is_empty()))
}

/// A token for `dashboard.tokens`.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The token itself, which the program gets.
    pub token: String,
    /// What the configuration gets.
    pub digest: String,
}

/// A new token, of 256 random bits.
#[must_use]
pub fn new_token() -> NewToken {
    let token = format!(
        "cf_{:032x}{:032x}",
        rand::random::<u128>(),
        rand::random::<u128>()
    );
    let digest = digest(&token);
    NewToken { token, digest }
}

/// It is compared as it is: how much of a hash is right tells nothing of what was hashed.
fn digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
#[path = "visitor_tests.rs"]
mod tests;
