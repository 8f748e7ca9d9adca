//! Values that this dashboard gave away and knows again: cookies, form tokens, links.

use crate::shown::hex;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Seals values with a key, each for one purpose: a seal of one purpose is worth nothing for another.
#[derive(Clone)]
pub(crate) struct Seal(Hmac<Sha256>);

impl Seal {
    /// A seal with the key that the configuration names, or with one derived from the key of the public ids.
    pub(crate) fn new(secret: Option<&SecretString>, id_secret: &SecretString) -> Self {
        let key = |bytes: &[u8]| {
            Hmac::<Sha256>::new_from_slice(bytes).expect("HMAC takes keys of any length")
        };
        match secret {
            Some(secret) => Self(key(secret.expose_secret().as_bytes())),
            None => {
                let mut derived = key(id_secret.expose_secret().as_bytes());
                // No id of a task holds this: public ids are made with the same key.
                derived.update(b"\0dashboard");
                Self(key(&derived.finalize().into_bytes()))
            }
        }
    }

    /// One with a key that nobody knows, until the process ends.
    pub(crate) fn random() -> Self {
        let key = format!(
            "{:032x}{:032x}",
            rand::random::<u128>(),
            rand::random::<u128>()
        );
        Self::new(Some(&key.into()), &SecretString::default())
    }

    /// The seal of these parts, 64 hexadecimal digits.
    pub(crate) fn of(&self, purpose: &str, parts: &[&str]) -> String {
        hex(&self.mac(purpose, parts).finalize().into_bytes())
    }

    /// Whether `seal` is that of these parts; in a time that does not tell how much of it is right.
    pub(crate) fn is_of(&self, seal: &str, purpose: &str, parts: &[&str]) -> bool {
        let digits = seal.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        let bytes: Vec<u8> = (0..32)
            .filter_map(|place| u8::from_str_radix(&seal[2 * place..2 * place + 2], 16).ok())
            .collect();
        self.mac(purpose, parts).verify_slice(&bytes).is_ok()
    }

    fn mac(&self, purpose: &str, parts: &[&str]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in std::iter::once(&purpose).chain(parts) {
            // With its length, so that no two lists of parts are the same bytes.
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_worth_something_for_the_same_key_purpose_and_parts_alone() {
        let seal = Seal::new(None, &"ids".into());
        let given = seal.of("cookie", &["anna", "12"]);
        assert!(seal.is_of(&given, "cookie", &["anna", "12"]));
        assert!(!seal.is_of(&given, "link", &["anna", "12"]));
        assert!(!seal.is_of(&given, "cookie", &["anna1", "2"]));
        assert!(!seal.is_of("", "cookie", &["anna", "12"]));
        assert!(!seal.is_of(&"ä".repeat(32), "cookie", &["anna", "12"]));
        let other = Seal::new(Some(&"own".into()), &"ids".into());
        assert!(!other.is_of(&given, "cookie", &["anna", "12"]));
    }
}
