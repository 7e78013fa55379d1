//! Values for one machine in a tree that everybody in the fleet reads: age v1 (<https://c2sp.org/age>), for X25519
//! recipients alone, as armored text.
//!
//! | module | question it answers |
//! |---|---|
//! | `key` | who may open it |
//! | `header` | for whom it is, and its key, wrapped for each |
//! | `stream` | the content, in chunks that can't be moved, cut or joined |
//! | `armor` | the same as text |

mod armor;
mod header;
mod key;
mod stream;

pub use key::{BadKey, Identity, Recipient};

use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of what is encrypted: a value of a Secret, and some.
pub const PLAIN_BYTES_MAX: usize = 4 << 20;

/// Recipients of one text.
pub const RECIPIENTS_MAX: usize = 1000;

/// Bytes of a key, wrapped by the header, that opens the content.
const FILE_KEY_BYTES: usize = 16;

/// Why something can't be encrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// For nobody, or for too many.
    #[error("{0} recipients: write one to {RECIPIENTS_MAX}")]
    Recipients(usize),
    /// Too much.
    #[error("{0} bytes to encrypt: at most {PLAIN_BYTES_MAX} are one value")]
    TooBig(usize),
    /// A recipient that everybody could be.
    #[error("{0} is a recipient that hides nothing: use another one")]
    Weak(Recipient),
    /// The kernel.
    #[error("the kernel gives no random bytes")]
    Random,
}

/// Why something can't be opened. Never says what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// The text.
    #[error("it is no armored age text: {0}")]
    Armor(&'static str),
    /// What the text stands for.
    #[error("it is no age v1 file for X25519 recipients: {0}")]
    Header(&'static str),
    /// Another's.
    #[error("it is not encrypted for {0}: encrypt it for this machine with `abide encrypt --recipient {0}`")]
    NotForUs(Recipient),
    /// Somebody changed who it is for.
    #[error("its header was changed after it was encrypted: encrypt it anew")]
    Forged,
    /// Somebody changed or cut it.
    #[error("its content was changed, cut or put together after it was encrypted: encrypt it anew")]
    Damaged,
    /// Too much.
    #[error("it holds more than {PLAIN_BYTES_MAX} bytes")]
    TooBig,
}

/// Encrypts for all of `recipients`, each of whom can open it alone. Armored.
pub fn encrypt(recipients: &[Recipient], plain: &[u8]) -> Result<String, EncryptError> {
    if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
        return Err(EncryptError::Recipients(recipients.len()));
    }
    if plain.len() > PLAIN_BYTES_MAX {
        return Err(EncryptError::TooBig(plain.len()));
    }
    let key: [u8; FILE_KEY_BYTES] = random()?;
    let mut file = header::write(recipients, &key)?;
    stream::seal(&key, random()?, plain, &mut file);
    Ok(armor::write(&file))
}

/// Opens what is encrypted for `identity`.
pub fn decrypt(identity: &Identity, armored: &str) -> Result<Vec<u8>, DecryptError> {
    let file = armor::read(armored)?;
    let (header, payload) = header::read(&file)?;
    let key = header.open(identity)?;
    stream::open(&key, payload)
}

/// Whether this is such a text as far as can be told by who can't open it.
pub fn is_well_formed(armored: &str) -> Result<(), DecryptError> {
    header::read(&armor::read(armored)?).map(drop)
}

fn random<const N: usize>() -> Result<[u8; N], EncryptError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| EncryptError::Random)?;
    Ok(bytes)
}

/// HKDF-SHA256 to 32 bytes.
fn derive(secret: &[u8], salt: &[u8], purpose: &[u8]) -> [u8; 32] {
    use ring::hkdf::{HKDF_SHA256, Salt};
    let extracted = Salt::new(HKDF_SHA256, salt).extract(secret);
    let purposes = [purpose];
    let mut key = [0; 32];
    let expanded = extracted.expand(&purposes, HKDF_SHA256);
    expanded.and_then(|expanded| expanded.fill(&mut key)).expect("32 bytes are what SHA-256 gives");
    key
}

/// ChaCha20-Poly1305.
fn cipher(key: &[u8; 32]) -> ring::aead::LessSafeKey {
    use ring::aead::{CHACHA20_POLY1305, LessSafeKey, UnboundKey};
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("32 bytes are a key of it"))
}

#[cfg(test)]
mod tests;
