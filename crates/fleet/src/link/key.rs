//! A machine's key for its certificate: ECDSA on P-256.

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey};
use std::fmt;

/// A key, which never leaves the machine.
pub(super) struct Key(KeyPair);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("making or reading a key of P-256")]
pub struct KeyError(#[from] rcgen::Error);

impl Key {
    /// A new one.
    pub(super) fn make() -> Result<Self, KeyError> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    pub(super) fn of_pem(pem: &str) -> Result<Self, KeyError> {
        Ok(Self(KeyPair::from_pem(pem)?))
    }

    pub(super) fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// The public one, as requests carry it: an uncompressed point, as base64.
    pub(super) fn public(&self) -> String {
        BASE64_STANDARD.encode(self.0.public_key_raw())
    }

    /// A signature of `message`, as requests carry it.
    pub(super) fn sign(&self, message: &[u8]) -> Result<String, KeyError> {
        Ok(BASE64_STANDARD.encode(self.0.sign(message)?))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    #[test]
    fn what_it_signs_is_verified_by_what_it_shows() {
        let key = Key::of_pem(&Key::make().unwrap().to_pem()).unwrap();
        let decode = |text: &str| BASE64_STANDARD.decode(text).unwrap();
        let public = decode(&key.public());
        assert_eq!((public.len(), public[0]), (65, 4), "an uncompressed point");
        let signature = decode(&key.sign(b"it").unwrap());
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &public).verify(b"it", &signature).unwrap();
    }
}
