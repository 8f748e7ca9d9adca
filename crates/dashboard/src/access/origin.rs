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

/// Whether somebody may look who was brought here by another page: it may lead people here, where no more than a
/// click is left to do something, neither that. What it has its browser load besides, nobody looks at.
pub(super) fn may_look(brought: Brought<'_>, is_before_a_deed: bool) -> bool {
    match brought.site {
        None | Some("same-origin" | "none") => true,
        Some(_) => {
            brought.mode == Some("navigate")
                && brought.dest.is_none_or(|dest| dest == "document")
                && !is_before_a_deed
        }
    }
}

/// How a browser says that it came here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Brought<'a> {
    /// `Sec-Fetch-Site`
    pub(super) site: Option<&'a str>,
    /// `Sec-Fetch-Mode`
    pub(super) mode: Option<&'a str>,
    /// `Sec-Fetch-Dest`
    pub(super) dest: Option<&'a str>,
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
    fn other_pages_lead_people_here_and_load_nothing_of_it() {
        let some = |text: &'static str| (!text.is_empty()).then_some(text);
        for (site, mode, dest, may, may_before_a_deed) in [
            ("", "", "", true, true),
            ("none", "navigate", "document", true, true),
            ("same-origin", "cors", "empty", true, true),
            ("cross-site", "navigate", "document", true, false),
            ("same-site", "navigate", "document", true, false),
            ("cross-site", "navigate", "", true, false),
            ("cross-site", "navigate", "iframe", false, false),
            ("cross-site", "no-cors", "image", false, false),
            ("same-site", "cors", "empty", false, false),
            ("cross-site", "", "", false, false),
        ] {
            let brought = Brought {
                site: some(site),
                mode: some(mode),
                dest: some(dest),
            };
            assert_eq!(may_look(brought, false), may, "{brought:?}");
            assert_eq!(may_look(brought, true), may_before_a_deed, "{brought:?}");
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
