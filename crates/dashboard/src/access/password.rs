//! Passwords: hashed with Argon2id, looked at a few at a time, and not too often.

use super::Caller;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use counterfoil_toolbox::config::UserSettings;
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Looked at together: each takes 19 MiB and tens of milliseconds of a core.
const AT_ONCE: usize = 2;

/// How long somebody waits for their turn.
const TURN: Duration = Duration::from_secs(5);

/// So many wrong passwords from one address within [`WINDOW`], and no more are looked at. Whoever calls from a proxy
/// that does not say for whom has no address: all would wait for one of them.
const PATIENCE: u32 = 10;

/// The same of one name, from anywhere: more, so that nobody keeps somebody else out from one place.
const PATIENCE_WITH_A_NAME: u32 = 30;

/// For how long wrong passwords count.
const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered: strangers may have as many as they like.
const REMEMBERED: usize = 10_000;

/// Into so many lots names fall that are nobody's.
const LOTS: u64 = 4096;

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
    /// Puts names together that nobody can guess.
    lots: RandomState,
    /// How long the last look took.
    usual: Mutex<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    User(String),
    /// Names that are nobody's, some of them together: they are counted, too, or people could find out which
    /// names are somebody's.
    MadeUp(u64),
    /// Whatever name somebody made up.
    Nobody,
    Address(IpAddr),
}

impl Key {
    /// After so many tries, no more are looked at.
    const fn most(&self) -> u32 {
        match self {
            Self::User(_) | Self::MadeUp(_) => PATIENCE_WITH_A_NAME,
            Self::Nobody | Self::Address(_) => PATIENCE,
        }
    }
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
            lots: RandomState::new(),
            usual: Mutex::default(),
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
        let name = match known {
            Some(_) => Key::User(user.to_owned()),
            None => Key::MadeUp(self.lots.hash_one(user) % LOTS),
        };
        let address = (!caller.is_anybody).then(|| Key::Address(network(caller.address)));
        let keys: Vec<Key> = [Some(name), address].into_iter().flatten().collect();
        // Counted before it is looked at: others that come meanwhile would all pass.
        if let Some(wait) = self.count(&keys) {
            return SignIn::TooMany(wait);
        }
        // However many names somebody makes up, few are looked at; they are not to see which.
        if known.is_none() && self.count(&[Key::Nobody]).is_some() {
            let usual = *self.usual.lock().unwrap_or_else(PoisonError::into_inner);
            tokio::time::sleep(usual).await;
            return SignIn::Wrong;
        }
        let turn = Arc::clone(&self.gate).acquire_owned();
        let Ok(Ok(turn)) = tokio::time::timeout(TURN, turn).await else {
            return SignIn::TooMany(TURN);
        };
        let hash = known.map_or(&self.nobodys, |user| &user.password_hash);
        let hash = hash.clone();
        let begun = Instant::now();
        let looked = tokio::task::spawn_blocking(move || {
            // Whoever asked may have gone: the turn is over when the work is.
            let _turn = turn;
            is_of(&password, &hash)
        });
        let is_right = matches!(looked.await, Ok(true));
        *self.usual.lock().unwrap_or_else(PoisonError::into_inner) = begun.elapsed();
        if known.is_some() && is_right {
            self.give_back(&keys);
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
            (*count >= key.most()).then_some(left)
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

    /// A right one does not count; those before it do, so that whoever may be somebody cannot try to be others.
    fn give_back(&self, keys: &[Key]) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if let Some((count, _)) = tries.get_mut(key) {
                *count = count.saturating_sub(1);
            }
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
#[path = "password_tests.rs"]
mod tests;
