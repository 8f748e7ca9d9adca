//! Public ids: what URLs show instead of the task id.

use counterfoil_toolbox::TaskId;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Makes public ids: a keyed hash of the task id.
///
/// It needs no row, survives a restore of the database, and does not tell the task id to whom a
/// URL is shown.
#[derive(Clone)]
pub struct IdKey(Hmac<Sha256>);

/// RFC 4648's alphabet in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 130 bits: as unlikely to collide as a random UUID.
const PUBLIC_ID_CHARS: usize = 26;

impl IdKey {
    /// A key from the secret of the configuration, of any length.
    #[must_use]
    pub fn new(secret: &SecretString) -> Self {
        let key = Hmac::new_from_slice(secret.expose_secret().as_bytes());
        Self(key.expect("HMAC takes keys of any length"))
    }

    /// The public id of a task: 26 characters, `a`–`z` and `2`–`7`.
    #[must_use]
    pub fn public_id(&self, task_id: &TaskId) -> String {
        let mut mac = self.0.clone();
        mac.update(task_id.as_str().as_bytes());
        let hash = mac.finalize().into_bytes();
        let (mut bits, mut count) = (0_u32, 0_u32);
        let mut bytes = hash.iter();
        let mut id = String::with_capacity(PUBLIC_ID_CHARS);
        while id.len() < PUBLIC_ID_CHARS {
            if count < 5 {
                let byte = bytes.next().expect("a hash has 256 bits");
                bits = bits << 8 | u32::from(*byte);
                count += 8;
            }
            count -= 5;
            let digit = bits >> count & 31;
            id.push(char::from(BASE32[digit as usize]));
        }
        id
    }
}

impl std::fmt::Debug for IdKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_ids_are_a_keyed_hash_in_base_32() {
        let key = IdKey::new(&SecretString::from("key"));
        let id = TaskId::new("The quick brown fox jumps over the lazy dog").expect("a task id");
        // HMAC-SHA256 f7bc83f430538424b13298e6aa6fb143…, the known answer for this key and text.
        assert_eq!(key.public_id(&id), "666ih5bqkoccjmjstdtku35rip");
        let other = IdKey::new(&SecretString::from("other key"));
        assert_ne!(key.public_id(&id), other.public_id(&id));
    }

    #[test]
    fn the_key_is_never_printed() {
        let key = IdKey::new(&SecretString::from("canary"));
        assert_eq!(format!("{key:?}"), "IdKey(…)");
    }
}
