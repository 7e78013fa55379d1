//! Who may pull from where: the file that `skopeo login --authfile`, `podman login --authfile` and `docker login` write.
//!
//! ```json
//! {"auths": {"registry.example.org": {"auth": "<USER:PASSWORD in base64>"}}}
//! ```

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// How Docker Hub is called here, and by `docker login`.
const HUB: [&str; 3] = ["docker.io", "https://index.docker.io/v1/", "index.docker.io"];

/// Credentials of a registry. `Debug` doesn't show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password, or a token in its place.
    pub password: String,
}

/// Why a file of logins can't be used. What is in it is never shown.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// It can't be read.
    #[error("cannot read the logins of registries from {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It isn't what others write.
    #[error(
        "{} has no login for {registry} that can be used: write it with `skopeo login --authfile`, without a credential helper",
        path.display()
    )]
    Form {
        /// Which.
        path: PathBuf,
        /// Of whom.
        registry: String,
    },
}

#[derive(Deserialize)]
struct Logins {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Login {
    /// The login of a registry in a file, which may not be there; read anew each time, as people change it.
    pub fn find(path: &Path, registry: &str) -> Result<Option<Self>, LoginError> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|source| LoginError::Read { path: path.to_owned(), source })?,
        };
        let malformed = || LoginError::Form { path: path.to_owned(), registry: registry.to_owned() };
        let Logins { auths } = serde_json::from_slice(&text).map_err(|_| malformed())?;
        let names = if registry == HUB[0] { &HUB[..] } else { &[registry] };
        match names.iter().find_map(|name| auths.get(*name)) {
            None => Ok(None),
            Some(entry) => Self::parse(&entry.auth).map(Some).ok_or_else(malformed),
        }
    }

    fn parse(auth: &str) -> Option<Self> {
        let text = String::from_utf8(BASE64_STANDARD.decode(auth).ok()?).ok()?;
        let (user, password) = text.split_once(':').filter(|(user, _)| !user.is_empty())?;
        Some(Self { user: user.to_owned(), password: password.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_as_others_write_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registries.json");
        let find = |registry| Login::find(&path, registry);
        assert_eq!(find("registry.example.org").unwrap(), None);
        let entry = |text: &str| format!("{{\"auth\": \"{}\"}}", BASE64_STANDARD.encode(text));
        let (own, hub, bad) = (entry("me:a:b"), entry("you:x"), entry("nobody"));
        let text = format!(
            "{{\"auths\": {{\"h.x:5000\": {own}, \"https://index.docker.io/v1/\": {hub}, \"bad\": {bad}, \"helped\": {{}}}}}}"
        );
        fs::write(&path, text).unwrap();
        let login = |user: &str, password: &str| Some(Login { user: user.into(), password: password.into() });
        assert_eq!(find("h.x:5000").unwrap(), login("me", "a:b"));
        assert_eq!(find("docker.io").unwrap(), login("you", "x"));
        assert_eq!(find("h.x").unwrap(), None);
        for registry in ["bad", "helped"] {
            let error = find(registry).unwrap_err().to_string();
            assert!(error.contains(registry) && !error.contains("nobody"), "{error}");
        }
        fs::write(&path, "{").unwrap();
        assert!(matches!(find("h.x"), Err(LoginError::Form { .. })));
        assert!(!format!("{:?}", login("me", "hush")).contains("hush"));
    }
}
