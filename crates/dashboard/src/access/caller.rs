//! Where a request really comes from, where proxies stand in between. Pure.

use axum::http::HeaderMap;
use counterfoil_toolbox::config::DashboardSettings;
use std::net::{IpAddr, SocketAddr};

/// To which each proxy adds the address that it was called from.
const PASSED_FOR: &str = "x-forwarded-for";

/// Where somebody calls from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Their address, as far as proxies tell that we believe.
    pub(crate) address: IpAddr,
    /// It is that of a proxy, which does not tell for whom it calls: that may be anybody.
    pub(crate) is_anybody: bool,
}

impl Caller {
    /// Who calls from `peer`. Of what proxies tell, only the hops that those added count which the settings
    /// name: whatever stands before them, a client may have made up.
    pub(crate) fn of(settings: &DashboardSettings, headers: &HeaderMap, peer: IpAddr) -> Self {
        let mut address = peer.to_canonical();
        let lines = headers.get_all(PASSED_FOR).iter().rev();
        let mut hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while is_proxy(settings, address) {
            let Some(hop) = hops.next().and_then(hop) else {
                let is_anybody = true;
                return Self {
                    address,
                    is_anybody,
                };
            };
            address = hop;
        }
        Self {
            address,
            is_anybody: false,
        }
    }
}

fn is_proxy(settings: &DashboardSettings, address: IpAddr) -> bool {
    let signs_in = settings.proxy.iter().flat_map(|proxy| &proxy.from);
    let mut proxies = settings.trusted_proxies.iter().chain(signs_in);
    proxies.any(|proxy| proxy.to_canonical() == address)
}

/// An address, which some proxies write with its port.
fn hop(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};
    use counterfoil_toolbox::config::ProxySettings;

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn told(lines: &[&str]) -> HeaderMap {
        let name = HeaderName::from_static(PASSED_FOR);
        let lines = lines
            .iter()
            .map(|line| HeaderValue::from_str(line).expect("a value"));
        lines.map(|line| (name.clone(), line)).collect()
    }

    fn behind_a_proxy() -> DashboardSettings {
        DashboardSettings {
            trusted_proxies: vec![PROXY],
            ..DashboardSettings::default()
        }
    }

    #[test]
    fn the_last_hop_that_a_known_proxy_tells_is_who_calls() {
        let settings = behind_a_proxy();
        for (lines, address) in [
            (&["192.0.2.7"][..], "192.0.2.7"),
            (&["1.1.1.1, 192.0.2.7"], "192.0.2.7"),
            (&["1.1.1.1", "192.0.2.7"], "192.0.2.7"),
            (&["192.0.2.7, 10.0.0.1"], "192.0.2.7"),
            (&["192.0.2.7:4711"], "192.0.2.7"),
            (&["::ffff:192.0.2.7"], "192.0.2.7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
        ] {
            let caller = Caller::of(&settings, &told(lines), PROXY);
            let address = address.parse().expect("an address");
            let is_anybody = false;
            assert_eq!(
                caller,
                Caller {
                    address,
                    is_anybody
                },
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_proxy_that_does_not_tell_calls_for_anybody() {
        let settings = behind_a_proxy();
        let mapped = "::ffff:10.0.0.1".parse().expect("an address");
        for (lines, peer) in [
            (&[][..], PROXY),
            (&[], mapped),
            (&["1.1.1.1, unknown"], PROXY),
            (&["1.1.1.1,"], PROXY),
            (&["10.0.0.1"], PROXY),
        ] {
            let caller = Caller::of(&settings, &told(lines), peer);
            let address = PROXY;
            let is_anybody = true;
            assert_eq!(
                caller,
                Caller {
                    address,
                    is_anybody
                },
                "{lines:?}"
            );
        }
    }

    #[test]
    fn nobody_else_is_believed_whatever_they_tell() {
        let elsewhere = IpAddr::from([192, 0, 2, 9]);
        let told = told(&["1.1.1.1"]);
        let known = behind_a_proxy();
        for (settings, peer) in [(&known, elsewhere), (&DashboardSettings::default(), PROXY)] {
            let caller = Caller::of(settings, &told, peer);
            assert_eq!((caller.address, caller.is_anybody), (peer, false));
        }
        let signs_in = DashboardSettings {
            proxy: Some(ProxySettings {
                from: vec![PROXY],
                ..ProxySettings::default()
            }),
            ..DashboardSettings::default()
        };
        let caller = Caller::of(&signs_in, &told, PROXY);
        assert_eq!(caller.address, IpAddr::from([1, 1, 1, 1]));
    }
}
