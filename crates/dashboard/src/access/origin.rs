//! Whether a request that changes something comes from a page of ours. Pure.

/// What a request tells of where it comes from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told<'a> {
    /// `Sec-Fetch-Site`, which browsers set and pages cannot.
    pub(super) fetch_site: Option<&'a str>,
    /// `Origin`
    pub(super) origin: Option<&'a str>,
    /// `Host`
    pub(super) host: Option<&'a str>,
    /// The address that browsers know us by, where the configuration names it.
    pub(super) public_url: Option<&'a str>,
}

/// Whether it comes from a page of ours. What tells nothing does not: every browser sends `Origin` with what
/// changes something.
pub(super) fn is_ours(told: Told<'_>) -> bool {
    match (told.fetch_site, told.origin) {
        (Some(site), Some(origin)) => site == "same-origin" && is_our_origin(origin, told),
        (Some(site), None) => site == "same-origin",
        (None, Some(origin)) => is_our_origin(origin, told),
        (None, None) => false,
    }
}

fn is_our_origin(origin: &str, told: Told<'_>) -> bool {
    let Some((scheme, host)) = origin.split_once("://") else {
        // `null`: from a sandbox or a file.
        return false;
    };
    match (told.public_url, told.host) {
        (Some(url), _) => url
            .trim_end_matches('/')
            .split_once("://")
            .is_some_and(|(own, ours)| own == scheme && same_host(scheme, host, ours)),
        (None, Some(ours)) => same_host(scheme, host, ours),
        (None, None) => false,
    }
}

/// Whether both name the same host and port; one that is not named is that of the scheme.
pub(super) fn same_host(scheme: &str, one: &str, other: &str) -> bool {
    let port = if scheme == "https" { ":443" } else { ":80" };
    let plain = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<'a>(site: &'a str, origin: &'a str) -> Told<'a> {
        let some = |text: &'a str| (!text.is_empty()).then_some(text);
        Told {
            fetch_site: some(site),
            origin: some(origin),
            host: Some("tasks.test:8090"),
            public_url: None,
        }
    }

    #[test]
    fn only_what_says_that_it_comes_from_our_own_pages_does() {
        for (site, origin, ours) in [
            ("same-origin", "http://tasks.test:8090", true),
            ("same-origin", "", true),
            ("", "http://tasks.test:8090", true),
            ("", "http://TASKS.test:8090", true),
            ("", "", false),
            ("cross-site", "http://tasks.test:8090", false),
            ("same-site", "http://tasks.test:8090", false),
            ("same-origin", "http://evil.test", false),
            ("", "http://tasks.test", false),
            ("", "http://tasks.test:8090.evil.test", false),
            ("", "null", false),
            ("none", "", false),
        ] {
            assert_eq!(is_ours(told(site, origin)), ours, "{site} {origin}");
        }
    }

    #[test]
    fn where_the_public_address_is_known_it_alone_counts() {
        let told = |origin| Told {
            public_url: Some("https://tasks.example.org"),
            ..told("", origin)
        };
        assert!(is_ours(told("https://tasks.example.org")));
        assert!(is_ours(told("https://tasks.example.org:443")));
        assert!(!is_ours(told("http://tasks.example.org")));
        assert!(!is_ours(told("http://tasks.test:8090")));
    }
}
