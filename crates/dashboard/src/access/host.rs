//! Whether a request was meant for this machine, where nobody has to sign in.
//!
//! A page of somebody else's may let its own name lead to 127.0.0.1 and then read what is there (DNS
//! rebinding); the browser sends that name in `Host`.

use super::origin::same_host;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use std::net::IpAddr;

/// The one host that a request is for. Of several, nobody knows which.
pub(super) fn named(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

/// Whether `host` is that of the public address.
pub(super) fn is_public(host: Option<&str>, public_url: Option<&str>) -> bool {
    let ours = public_url.and_then(|url| url.trim_end_matches('/').split_once("://"));
    match (host, ours) {
        (Some(host), Some((scheme, ours))) => same_host(scheme, host, ours),
        (None, _) | (_, None) => false,
    }
}

/// Whether `host` names this machine, or is the public address's.
pub(super) fn is_local(host: Option<&str>, public_url: Option<&str>) -> bool {
    let Some(host) = host else {
        return false;
    };
    if is_public(Some(host), public_url) {
        return true;
    }
    let name = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |address: IpAddr| address.is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_somebody_elses_is_not_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:8090",
            "127.0.0.1:8090",
            "127.8.0.1",
            "[::1]:8090",
        ] {
            assert!(is_local(Some(host), None), "{host}");
        }
        for host in [
            "evil.test",
            "localhost.evil.test:8090",
            "10.0.0.1",
            "",
            "[fe80::1]",
        ] {
            assert!(!is_local(Some(host), None), "{host}");
        }
        assert!(!is_local(None, None));
        assert!(is_local(Some("tasks.test"), Some("http://tasks.test/")));
    }
}
