//! Values that must never be shown: URLs with credentials, keys, and the files that hold them.

use super::read::{Section, scalar, texts};
use secrecy::SecretString;

/// Query parameters of URLs that hold nothing secret.
const SHOWN: [&str; 10] = [
    "host",
    "port",
    "dbname",
    "sslmode",
    "mode",
    "heartbeat",
    "frame_max",
    "channel_max",
    "connection_timeout",
    "application_name",
];

/// `url` for people: password and unknown parameters replaced, `amqp://user:***@host/vhost`.
///
/// What does not look like a URL is not shown at all.
///
/// ```
/// use counterfoil_toolbox::config::redact_url;
///
/// assert_eq!(redact_url("amqp://anna:secret@broker/%2f"), "amqp://anna:***@broker/%2f");
/// ```
#[must_use]
pub fn redact_url(url: &str) -> String {
    if let Some(file) = url.strip_prefix("sqlite:") {
        return format!("sqlite:{}", without_parameters(file));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return "***".to_owned();
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may hold an unescaped slash: everything before the last @ is taken for one, unless
    // the part before the first slash is complete in itself.
    let at = match rest[..authority].rfind('@') {
        Some(at) if !rest[authority..].contains('@') => Some(at),
        _ => rest.rfind('@'),
    };
    let (user, host) = match at {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    };
    let user = user.map_or(String::new(), |user| match user.split_once(':') {
        Some((name, _)) => format!("{name}:***@"),
        None => format!("{user}@"),
    });
    format!("{scheme}://{user}{}", without_parameters(host))
}

fn without_parameters(text: &str) -> String {
    let Some((place, query)) = text.split_once('?') else {
        return text.to_owned();
    };
    let shown = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if !SHOWN.contains(&name) => format!("{name}=***"),
            _ => parameter.to_owned(),
        });
    format!("{place}?{}", shown.collect::<Vec<_>>().join("&"))
}

impl Section<'_> {
    /// A secret, from the field itself or from the file that `<name>_file` names.
    pub(super) fn secret(
        &mut self,
        name: &'static str,
        file: &'static str,
    ) -> Option<SecretString> {
        let value = self.take(name).map(|value| scalar(&value));
        let from_file = self.secret_file(file);
        match (value, from_file) {
            (Some(_), Some(_)) => {
                self.both(name, file);
                None
            }
            (Some(None), None) => {
                self.fault(name, "it must be text");
                None
            }
            (Some(Some(text)), None) | (None, Some(text)) => Some(text.into()),
            (None, None) => None,
        }
    }

    /// AMQP URLs: a list, text separated by commas, or the lines of a file.
    pub(super) fn urls(&mut self, name: &'static str, file: &'static str) -> Vec<SecretString> {
        let value = self.take(name);
        let from_file = self.secret_file(file);
        let given = match (value, from_file) {
            (Some(_), Some(_)) => {
                self.both(name, file);
                return Vec::new();
            }
            (Some(value), None) => texts(&value, split_urls),
            (None, Some(text)) => text.lines().map(|line| Some(line.to_owned())).collect(),
            (None, None) => Vec::new(),
        };
        let mut urls = Vec::new();
        for url in given {
            let url = url.unwrap_or_default().trim().to_owned();
            match amqp_fault(&url) {
                None => urls.push(url.into()),
                Some(problem) => self.fault(name, problem),
            }
        }
        urls
    }

    fn both(&mut self, name: &str, file: &str) {
        let file = self.field(file);
        self.fault(name, format!("{file} is set too; keep one of them"));
    }

    fn secret_file(&mut self, name: &'static str) -> Option<String> {
        let path = self.path(name)?;
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => {
                self.fault(name, format!("{} is empty", path.display()));
                None
            }
            Ok(text) => Some(text.trim().to_owned()),
            Err(error) => {
                self.fault(name, format!("{} cannot be read: {error}", path.display()));
                None
            }
        }
    }
}

/// Splits at the commas that stand before another URL: a password may hold one too.
fn split_urls(text: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for part in text.split(',') {
        match urls.last_mut() {
            Some(url) if !part.trim_start().starts_with("amqp") => {
                url.push(',');
                url.push_str(part);
            }
            _ => urls.push(part.to_owned()),
        }
    }
    urls
}

/// What is wrong with a broker's URL, without saying what it is.
fn amqp_fault(url: &str) -> Option<&'static str> {
    let rest = url
        .strip_prefix("amqp://")
        .or_else(|| url.strip_prefix("amqps://"));
    let Some(rest) = rest else {
        return Some("a URL that starts with amqp:// or amqps:// was expected");
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') {
        Some("the URL names no host")
    } else if path.contains('@') {
        Some("'/' and '?' in user name or password must be written as %2F and %3F")
    } else if path.matches('/').count() > 1 {
        Some("a '/' in the name of the virtual host must be written as %2f")
    } else {
        None
    }
}

/// What is wrong with a database's URL, without saying what it is.
pub(super) fn database_fault(url: &str) -> Option<&'static str> {
    let known = ["postgresql://", "postgres://", "sqlite:"];
    (!known.iter().any(|scheme| url.starts_with(scheme)))
        .then_some("a URL that starts with postgresql:// or sqlite:// was expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_keeps_everything_but_its_secrets() {
        for (url, shown) in [
            (
                "amqp://user:pw@host:5672/vhost",
                "amqp://user:***@host:5672/vhost",
            ),
            ("amqp://host/%2f", "amqp://host/%2f"),
            ("amqps://user@host", "amqps://user@host"),
            ("amqp://user:p/w@host/v", "amqp://user:***@host/v"),
            ("amqp://user:p@w@host/v", "amqp://user:***@host/v"),
            ("amqp://user:p:w?x@host/v", "amqp://user:***@host/v"),
            (
                "postgresql://u:pw@h/db?host=/run&password=pw",
                "postgresql://u:***@h/db?host=/run&password=***",
            ),
            (
                "sqlite://file.db?mode=rwc&key=pw",
                "sqlite://file.db?mode=rwc&key=***",
            ),
            ("user:pw@host", "***"),
        ] {
            assert_eq!(redact_url(url), shown);
        }
    }

    #[test]
    fn a_comma_in_a_password_does_not_start_another_url() {
        assert_eq!(
            split_urls("amqp://u:a,b@one, amqps://two"),
            ["amqp://u:a,b@one", " amqps://two"]
        );
    }

    #[test]
    fn urls_that_no_broker_has_are_refused() {
        for good in [
            "amqp://h",
            "amqps://u:p@h:1/v%2fw?heartbeat=5",
            "amqp://u:p@h/",
        ] {
            assert_eq!(amqp_fault(good), None, "{good}");
        }
        for bad in [
            "",
            "h:5672",
            "http://h",
            "amqp://",
            "amqp://u:p@:5672",
            "amqp://u:a/b@h",
            "amqp://h/a/b",
        ] {
            assert!(amqp_fault(bad).is_some(), "{bad}");
        }
    }
}
