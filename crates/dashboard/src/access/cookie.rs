//! The cookie of somebody who has signed in. The server keeps nothing of it.

use super::Seal;
use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil_toolbox::config::{DashboardSettings, UserSettings};
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// Gives cookies, and reads them.
#[derive(Debug)]
pub(crate) struct Cookies {
    name: &'static str,
    attributes: &'static str,
    lifetime: TimeDelta,
    seal: Seal,
    /// Those of people who signed out here, by their nonce, until they hold no more by themselves: somebody may
    /// have copied one.
    left: Mutex<HashMap<String, DateTime<Utc>>>,
}

/// What a cookie tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) user: String,
    /// Different in each sign-in: what the tokens of forms hang on.
    pub(super) nonce: String,
    /// When it holds no more.
    pub(super) until: DateTime<Utc>,
}

impl Cookies {
    pub(crate) fn new(settings: &DashboardSettings, seal: Seal) -> Self {
        let url = settings.public_url.as_deref().unwrap_or_default();
        let (name, attributes) = match url.starts_with("https://") {
            // The prefix keeps other hosts of the same domain from setting it.
            true => (
                "__Host-counterfoil",
                "Path=/; HttpOnly; SameSite=Lax; Secure",
            ),
            false => ("counterfoil", "Path=/; HttpOnly; SameSite=Lax"),
        };
        let lifetime = TimeDelta::from_std(settings.session_lifetime).unwrap_or(TimeDelta::MAX);
        Self {
            name,
            attributes,
            lifetime,
            seal,
            left: Mutex::default(),
        }
    }

    /// The value of `Set-Cookie` for `user`.
    pub(crate) fn give(&self, user: &str, settings: &UserSettings, now: DateTime<Utc>) -> String {
        let until = (now + self.lifetime).timestamp().to_string();
        let nonce = format!("{:032x}", rand::random::<u128>());
        let shown = BASE64_URL_SAFE_NO_PAD.encode(user);
        let seal = self
            .seal
            .of("cookie", &parts(user, &until, &nonce, settings));
        format!(
            "{}={shown}.{until}.{nonce}.{seal}; Max-Age={}; {}",
            self.name,
            self.lifetime.num_seconds(),
            self.attributes
        )
    }

    /// The value of `Set-Cookie` that takes it away. That of these headers holds no more.
    pub(crate) fn take(
        &self,
        headers: &HeaderMap,
        users: &BTreeMap<String, UserSettings>,
        now: DateTime<Utc>,
    ) -> String {
        if let Some(told) = self.read(headers, users, now) {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            left.retain(|_, until| *until > now);
            left.insert(told.nonce, told.until);
        }

        format!("{}=; Max-Age=0; {}", self.name, self.attributes)
    }

    /// What the cookie of these headers tells, if it holds.
    pub(super) fn read(
        &self,
        headers: &HeaderMap,
        users: &BTreeMap<String, UserSettings>,
        now: DateTime<Utc>,
    ) -> Option<Told> {
        let all = headers.get_all(COOKIE).iter();
        let pairs = all.filter_map(|value| value.to_str().ok());
        let pairs = pairs.flat_map(|value| value.split(';'));
        let mut values =
            pairs.filter_map(|pair| pair.trim().strip_prefix(self.name)?.strip_prefix('='));
        // Others of this host, at other ports, may have set one of the same name.
        values.find_map(|value| self.read_one(value, users, now))
    }

    fn read_one(
        &self,
        value: &str,
        users: &BTreeMap<String, UserSettings>,
        now: DateTime<Utc>,
    ) -> Option<Told> {
        let mut fields = value.split('.');
        let (user, until, nonce, seal) = (
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
        );
        let user = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(user).ok()?).ok()?;
        let settings = users.get(&user)?;
        let holds = self
            .seal
            .is_of(seal, "cookie", &parts(&user, until, nonce, settings));
        let until = DateTime::from_timestamp(until.parse().ok()?, 0)?;
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        (holds && until > now && !left.contains_key(nonce)).then(|| Told {
            user,
            nonce: nonce.to_owned(),
            until,
        })
    }
}

/// What is sealed: the password's hash too, so that a new password signs everybody out who knew the old one.
fn parts<'a>(
    user: &'a str,
    until: &'a str,
    nonce: &'a str,
    settings: &'a UserSettings,
) -> [&'a str; 4] {
    [user, until, nonce, settings.password_hash.expose_secret()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use counterfoil_toolbox::config::AccessRole;

    fn users(hash: &str) -> BTreeMap<String, UserSettings> {
        let anna = UserSettings {
            password_hash: hash.into(),
            role: AccessRole::Viewer,
        };
        BTreeMap::from([("änna".to_owned(), anna)])
    }

    fn sent(cookie: &str) -> HeaderMap {
        let value = format!("a=b; {}; c=d", cookie.split(';').next().expect("a pair"));
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&value).expect("a header"))])
    }

    #[test]
    fn a_cookie_holds_until_its_time_is_over_or_the_password_changes() {
        let settings = DashboardSettings::default();
        let cookies = Cookies::new(&settings, Seal::new(None, &"ids".into()));
        let (users, now) = (users("$argon2id$a"), Utc::now());
        let given = cookies.give("änna", &users["änna"], now);
        assert!(given.contains("HttpOnly; SameSite=Lax"), "{given}");
        let told = cookies.read(&sent(&given), &users, now).expect("it holds");
        assert_eq!(told.user, "änna");
        let again = cookies.give("änna", &users["änna"], now);
        let other = cookies.read(&sent(&again), &users, now).expect("it holds");
        assert_ne!(told.nonce, other.nonce);
        let later = now + TimeDelta::hours(13);
        assert_eq!(cookies.read(&sent(&given), &users, later), None);
        let changed = self::users("$argon2id$b");
        assert_eq!(cookies.read(&sent(&given), &changed, now), None);
    }

    #[test]
    fn a_cookie_that_somebody_changed_or_made_holds_nothing() {
        let settings = DashboardSettings::default();
        let cookies = Cookies::new(&settings, Seal::new(None, &"ids".into()));
        let (users, now) = (users("$argon2id$a"), Utc::now());
        let given = cookies.give("änna", &users["änna"], now);
        let until = (now + settings.session_lifetime).timestamp();
        let longer = given.replace(&until.to_string(), &(until + 1).to_string());
        assert_ne!(longer, given);
        for cookie in [
            &*longer,
            "counterfoil=",
            "counterfoil=a.b.c.d",
            "counterfoil=....",
            "x=1",
        ] {
            assert_eq!(cookies.read(&sent(cookie), &users, now), None, "{cookie}");
        }
    }

    #[test]
    fn behind_tls_a_cookie_is_for_this_host_and_tls_alone() {
        let settings = DashboardSettings {
            public_url: Some("https://tasks.example.org".to_owned()),
            ..DashboardSettings::default()
        };
        let cookies = Cookies::new(&settings, Seal::new(None, &"ids".into()));
        let taken = cookies.take(&HeaderMap::new(), &users("$argon2id$a"), Utc::now());
        assert!(taken.starts_with("__Host-counterfoil=; "), "{taken}");
        assert!(taken.ends_with("; Secure"), "{taken}");
    }

    #[test]
    fn a_copy_of_a_cookie_holds_no_more_once_somebody_has_signed_out() {
        let cookies = Cookies::new(
            &DashboardSettings::default(),
            Seal::new(None, &"ids".into()),
        );
        let (users, now) = (users("$argon2id$a"), Utc::now());
        let (one, other) = (
            sent(&cookies.give("änna", &users["änna"], now)),
            sent(&cookies.give("änna", &users["änna"], now)),
        );
        cookies.take(&one, &users, now);
        assert_eq!(cookies.read(&one, &users, now), None);
        assert!(cookies.read(&other, &users, now).is_some());
    }

    #[test]
    fn one_that_another_page_of_the_host_has_set_is_passed_over() {
        let cookies = Cookies::new(
            &DashboardSettings::default(),
            Seal::new(None, &"ids".into()),
        );
        let (users, now) = (users("$argon2id$a"), Utc::now());
        let given = cookies.give("änna", &users["änna"], now);
        let given = given.split(';').next().expect("a pair");
        let both = HeaderValue::from_str(&format!("counterfoil=a.b.c.d; {given}"));
        let both = HeaderMap::from_iter([(COOKIE, both.expect("a header"))]);
        assert!(cookies.read(&both, &users, now).is_some());
    }
}
