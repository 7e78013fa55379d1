//! OpenSSH's signatures of commits and tags: what Git makes with `gpg.format=ssh`, in the namespace `git`.

use ssh_key::{HashAlg, PublicKey, SshSig};

/// Where Git's signatures count, and no others.
const NAMESPACE: &str = "git";

/// Why a text is no key that may sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// It can't be read.
    #[error("{0:?} is no public key of OpenSSH: write it as a file `id_ed25519.pub` has it")]
    Form(String),
    /// Another algorithm.
    #[error("{0:?} is a key of {1}: ssh-ed25519 and sk-ssh-ed25519@openssh.com may sign")]
    Algorithm(String, String),
}

/// Why what is signed is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// Another kind of signature, or a broken one.
    #[error("its signature is none of OpenSSH (with Git: gpg.format=ssh)")]
    Form,
    /// A signature of something else.
    #[error("its signature was made for {0:?}, not for Git")]
    Namespace(String),
    /// Of somebody else.
    #[error("it is signed by {0}, which is not among the signers")]
    Unknown(String),
    /// Of something else.
    #[error("it was changed after {0} signed it")]
    Wrong(String),
}

/// A key that may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(PublicKey);

impl Key {
    /// Reads a line as a file `*.pub` has it.
    pub fn parse(line: &str) -> Result<Self, BadKey> {
        let shown = || line.trim().chars().take(60).collect::<String>();
        let kind = line.split_whitespace().next().unwrap_or_default();
        if line.split_whitespace().count() > 1 && !["ssh-ed25519", "sk-ssh-ed25519@openssh.com"].contains(&kind) {
            return Err(BadKey::Algorithm(shown(), kind.chars().take(60).collect()));
        }
        PublicKey::from_openssh(line.trim()).map(Self).map_err(|_| BadKey::Form(shown()))
    }

    /// Its fingerprint, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

/// Checks a signature over `payload` by one of `keys`, and says which.
pub fn verify<'a>(keys: &'a [Key], payload: &[u8], armored: &str) -> Result<&'a Key, BadSignature> {
    let signature = SshSig::from_pem(armored.trim_end()).map_err(|_| BadSignature::Form)?;
    if signature.namespace() != NAMESPACE {
        return Err(BadSignature::Namespace(signature.namespace().chars().take(60).collect()));
    }
    let by = signature.public_key().fingerprint(HashAlg::Sha256).to_string();
    let known = keys.iter().find(|key| key.0.key_data() == signature.public_key());
    let known = known.ok_or_else(|| BadSignature::Unknown(by.clone()))?;
    known.0.verify(NAMESPACE, payload, &signature).map_err(|_| BadSignature::Wrong(by))?;
    Ok(known)
}

#[cfg(test)]
mod tests;
