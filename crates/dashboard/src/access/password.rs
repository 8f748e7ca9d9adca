//! Passwords: hashed with Argon2id, looked at a few at a time, and not too often.

use super::Caller;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use counterfoil_toolbox::config::UserSettings;
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Looked at together: each takes 19 MiB and tens of milliseconds of a core.
const AT_ONCE: usize = 2;

/// How long somebody waits for their turn.
const TURN: Duration = Duration::from_secs(5);

/// So many wrong passwords of one user or from one address, within [`WINDOW`], and no more are looked at. Whoever
/// calls from a proxy that does not say for whom has no address: all would wait for one of them.
const PATIENCE: u32 = 10;

/// For how long wrong passwords count.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered: strangers may have as many as they like.
const REMEMBERED: usize = 10_000;

/// A password longer than this is nobody's.
const LONGEST: usize = 1024;

/// What became of somebody's try to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignIn {
    Welcome,
    Wrong,
    /// Too many were wrong, or too many try at once: try again after so long.
    TooMany(Duration),
}

/// Who may be whom.
#[derive(Debug)]
pub(crate) struct Passwords {
    gate: Arc<Semaphore>,
    tries: Mutex<HashMap<Key, (u32, Instant)>>,
    /// Looked at for a user that does not exist: that takes as long.
    nobodys: SecretString,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    User(String),
    /// Whatever name somebody made up.
    Nobody,
    Address(IpAddr),
}

/// A password that could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashError(String);

/// Hash of a password for `dashboard.users.<name>.password_hash`, with a salt of its own.
///
/// # Errors
/// [`HashError`] when the password is empty or longer than 1,024 bytes.
pub fn hash_password(password: &SecretString) -> Result<String, HashError> {
    let password = password.expose_secret().as_bytes();
    if password.is_empty() || password.len() > LONGEST {
        return Err(HashError(
            "it is empty or longer than 1,024 bytes".to_owned(),
        ));
    }
    let hash = Argon2::default().hash_password(password);
    hash.map(|hash| hash.to_string())
        .map_err(|error| HashError(error.to_string()))
}

impl Passwords {
    /// # Errors
    /// When there is no randomness.
    pub(crate) fn new() -> Result<Self, HashError> {
        let nobodys = format!("{:032x}", rand::random::<u128>());
        Ok(Self {
            gate: Arc::new(Semaphore::new(AT_ONCE)),
            tries: Mutex::default(),
            nobodys: hash_password(&nobodys.into())?.into(),
        })
    }

    /// Looks at a password. A try that is given up counts as a wrong one, and keeps its turn until it was looked at.
    pub(crate) async fn check(
        &self,
        users: &BTreeMap<String, UserSettings>,
        user: &str,
        password: SecretString,
        caller: Caller,
    ) -> SignIn {
        if users.is_empty() {
            return SignIn::Wrong;
        }
        let known = users.get(user);
        let name = known.map_or(Key::Nobody, |_| Key::User(user.to_owned()));
        let address = (!caller.is_anybody).then(|| Key::Address(network(caller.address)));
        let keys: Vec<Key> = [Some(name), address].into_iter().flatten().collect();
        // Counted before it is looked at: others that come meanwhile would all pass.
        if let Some(wait) = self.count(&keys) {
            return SignIn::TooMany(wait);
        }
        let turn = Arc::clone(&self.gate).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(TURN, turn).await else {
            return SignIn::TooMany(TURN);
        };
        let hash = known.map_or(&self.nobodys, |user| &user.password_hash);
        let hash = hash.clone();
        let looked = tokio::task::spawn_blocking(move || {
            // Whoever asked may have gone: the turn is over when the work is.
            let _turn = turn;
            is_of(&password, &hash)
        });
        if known.is_some() && matches!(looked.await, Ok(true)) {
            self.forget(&keys);
            return SignIn::Welcome;
        }
        SignIn::Wrong
    }

    /// Counts a try, or says how long to wait where there were too many.
    fn count(&self, keys: &[Key]) -> Option<Duration> {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= REMEMBERED {
            tries.retain(|_, (_, since)| since.elapsed() < WINDOW);
        }
        if tries.len() >= REMEMBERED {
            tries.retain(|key, _| !matches!(key, Key::Address(_)));
        }
        let waits = keys.iter().filter_map(|key| {
            let (count, since) = tries.get(key)?;
            let left = WINDOW.checked_sub(since.elapsed())?;
            (*count >= PATIENCE).then_some(left)
        });
        let wait = waits.max();
        if wait.is_none() {
            for key in keys {
                let (count, since) = tries.entry(key.clone()).or_insert((0, Instant::now()));
                if since.elapsed() >= WINDOW {
                    (*count, *since) = (0, Instant::now());
                }
                *count += 1;
            }
        }
        wait
    }

    fn forget(&self, keys: &[Key]) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            tries.remove(key);
        }
    }
}

/// What belongs to one place: where addresses are long, whoever has one has the 2⁶⁴ beside it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

fn is_of(password: &SecretString, hash: &SecretString) -> bool {
    let password = password.expose_secret().as_bytes();
    let hash = PasswordHash::new(hash.expose_secret());
    password.len() <= LONGEST
        && hash.is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_toolbox::config::AccessRole;

    const HOME: Caller = Caller {
        address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        is_anybody: false,
    };

    fn at(address: &str) -> Caller {
        Caller {
            address: address.parse().expect("an address"),
            is_anybody: false,
        }
    }

    fn users() -> BTreeMap<String, UserSettings> {
        let hash = hash_password(&"right".into()).expect("a hash");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let anna = UserSettings {
            password_hash: hash.into(),
            role: AccessRole::Viewer,
        };
        BTreeMap::from([("anna".to_owned(), anna)])
    }

    #[tokio::test]
    async fn the_right_password_is_welcome_and_no_other() {
        let (passwords, users) = (Passwords::new().expect("randomness"), users());
        let check =
            |user, password: &'static str| passwords.check(&users, user, password.into(), HOME);
        assert_eq!(check("anna", "right").await, SignIn::Welcome);
        assert_eq!(check("anna", "wrong").await, SignIn::Wrong);
        assert_eq!(check("anna", "").await, SignIn::Wrong);
        assert_eq!(check("otto", "right").await, SignIn::Wrong);
    }

    #[tokio::test]
    async fn after_ten_wrong_ones_nobody_looks_for_a_while_whoever_is_named() {
        let (passwords, users) = (Passwords::new().expect("randomness"), users());
        let elsewhere = at("10.0.0.1");
        for _ in 0..PATIENCE {
            let tried = passwords.check(&users, "anna", "wrong".into(), HOME);
            assert_eq!(tried.await, SignIn::Wrong);
        }
        let tried = passwords.check(&users, "anna", "right".into(), HOME);
        assert!(matches!(tried.await, SignIn::TooMany(wait) if wait <= WINDOW));
        let tried = passwords.check(&users, "otto", "right".into(), HOME);
        assert!(
            matches!(tried.await, SignIn::TooMany(_)),
            "the same address"
        );
        let tried = passwords.check(&users, "anna", "right".into(), elsewhere);
        assert!(matches!(tried.await, SignIn::TooMany(_)), "the same user");
        let tried = passwords.check(&users, "otto", "right".into(), elsewhere);
        assert_eq!(tried.await, SignIn::Wrong);
    }

    #[tokio::test]
    async fn whoever_has_one_of_the_long_addresses_has_those_beside_it() {
        let (passwords, users) = (Passwords::new().expect("randomness"), users());
        for last in 0..PATIENCE {
            let beside = at(&format!("2001:db8:0:7::{last}"));
            let tried = passwords.check(&users, "nobody", "wrong".into(), beside);
            assert_eq!(tried.await, SignIn::Wrong);
        }
        let check = |from| passwords.check(&users, "anna", "right".into(), at(from));
        let tried = check("2001:db8:0:7:ffff::").await;
        assert!(matches!(tried, SignIn::TooMany(_)), "{tried:?}");
        assert_eq!(check("2001:db8:0:8::").await, SignIn::Welcome);
    }

    #[tokio::test]
    async fn nobody_waits_for_others_that_came_by_the_same_proxy() {
        let (passwords, users) = (Passwords::new().expect("randomness"), users());
        let anybody = Caller {
            is_anybody: true,
            ..HOME
        };
        for _ in 0..=PATIENCE {
            let tried = passwords.check(&users, "nobody", "wrong".into(), anybody);
            tried.await;
        }
        let tried = passwords.check(&users, "anna", "right".into(), anybody);
        assert_eq!(tried.await, SignIn::Welcome);
    }

    #[tokio::test]
    async fn of_many_that_are_tried_at_once_no_more_than_ten_are_looked_at() {
        let (passwords, users) = (Passwords::new().expect("randomness"), users());
        let tries = (0..40).map(|_| passwords.check(&users, "anna", "wrong".into(), HOME));
        let tried = futures::future::join_all(tries).await;
        // On a machine that is busy, some of the ten wait for their turn in vain.
        let is_refused = |tried: &&SignIn| matches!(tried, SignIn::TooMany(wait) if *wait > TURN);
        assert_eq!(tried.iter().filter(is_refused).count(), 30);
    }

    #[tokio::test]
    async fn where_nobody_can_sign_in_nothing_is_looked_at() {
        let (passwords, nobody) = (Passwords::new().expect("randomness"), BTreeMap::new());
        for _ in 0..=PATIENCE {
            let tried = passwords.check(&nobody, "anna", "right".into(), HOME);
            assert_eq!(tried.await, SignIn::Wrong);
        }
    }
}
