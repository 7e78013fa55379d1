//! Registries: the part of the OCI distribution specification that pulling needs.
//!
//! Who may hear what: the credentials of a registry go to the registry, and to the service that it names for tokens if that
//! is reached over https below the same domain; a token goes to the registry alone. Blobs are redirected to other hosts
//! often; nothing secret goes along. Over http only those are spoken to that were granted so, and then no redirect
//! matters, as everything is checked by digest.
//!
//! Each request is made in a thread of its own (`exchange`), so that who waits can stop waiting at any time.

mod challenge;
mod error;
mod exchange;
mod trust;

use crate::{
    error::PrepareError,
    login::Login,
    manifest::{
        ACCEPT, CONFIG_BYTES_MAX, Chosen, Descriptor, Document, DocumentError, MANIFEST_BYTES_MAX, digest_text,
    },
    origin::{Attend, Loaded, Origin},
    verify,
};
use abide_spec::reference::Reference;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use challenge::Challenge;
pub use error::RegistryError;
pub use exchange::Patience;
use exchange::{Answer, Exchange};
use serde::Deserialize;
use std::io::{self, Read};
use ureq::tls::TlsConfig;

/// Bytes of what a token service answers.
const TOKEN_BYTES_MAX: u64 = 1 << 20;
const REDIRECTS_MAX: u32 = 5;

/// An image in a registry.
pub(crate) struct Registry<'a> {
    exchange: Exchange,
    attend: &'a Attend<'a>,
    reference: Reference,
    base: String,
    /// Host, with its port.
    authority: String,
    is_insecure: bool,
    login: Option<Login>,
    /// The value of the header, once the registry said which it wants.
    authorization: Option<String>,
}

/// How registries are spoken to.
pub(crate) struct Terms<'a> {
    /// Speak http.
    pub(crate) is_insecure: bool,
    pub(crate) login: Option<Login>,
    pub(crate) authorities: Option<&'a str>,
    pub(crate) patience: Patience,
}

impl<'a> Registry<'a> {
    pub(crate) fn new(reference: Reference, terms: Terms<'_>, attend: &'a Attend<'a>) -> Result<Self, PrepareError> {
        // Docker Hub's name is not that of its registry.
        let host = if reference.registry == "docker.io" { "registry-1.docker.io" } else { &reference.registry };
        let Terms { is_insecure, login, authorities, patience } = terms;
        let config = ureq::Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(trust::roots(authorities)?).build())
            .https_only(!is_insecure)
            .max_redirects(REDIRECTS_MAX)
            .http_status_as_error(false)
            .accept_encoding("")
            .user_agent(concat!("abide/", env!("CARGO_PKG_VERSION")));
        // What is granted over http is near, and a proxy would see the credentials.
        let config = if is_insecure { config.proxy(None) } else { config };
        let base = format!("{}://{host}/v2/{}", if is_insecure { "http" } else { "https" }, reference.repository);
        let authority = host.to_owned();
        let exchange = Exchange::new(config, patience, authority.clone());
        Ok(Self { exchange, attend, reference, base, authority, is_insecure, login, authorization: None })
    }

    /// Asks for something below the repository, with credentials if the registry wants some.
    fn get(&mut self, what: &str, path: &str, accept: &str) -> Result<Answer<'a>, RegistryError> {
        let url = format!("{}/{path}", self.base);
        for attempt in 0..2 {
            let headers = [("Accept", Some(accept)), ("Authorization", self.authorization.as_deref())];
            let answer = self.exchange.get(&url, &headers, self.attend)?;
            let is_own = answer.authority.as_deref() == Some(&self.authority);
            match answer.status {
                200 => return Ok(answer),
                401 if attempt == 0 && is_own => self.authorize(&answer)?,
                401 | 403 => return Err(self.denied(what, answer.status)),
                404 => return Err(RegistryError::Missing { registry: self.host(), what: what.to_owned() }),
                status => return Err(RegistryError::Status { registry: self.host(), what: what.to_owned(), status }),
            }
        }
        Err(self.denied(what, 401))
    }

    /// Gets what the registry wants to see, by its answer of 401 (distribution, *token authentication specification*).
    fn authorize(&mut self, answer: &Answer<'_>) -> Result<(), RegistryError> {
        let basic = self
            .login
            .as_ref()
            .map(|Login { user, password }| format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))));
        let Some(challenge) = Challenge::choose(&answer.challenges) else {
            return Err(self.odd("it asks for credentials without saying which".to_owned()));
        };
        self.authorization = match challenge {
            Challenge::Basic => Some(basic.ok_or_else(|| self.denied("anonymous pulls", 401))?),
            Challenge::Bearer { realm, service } => {
                if !challenge::is_trusted(&realm, &self.authority, self.is_insecure) {
                    if basic.is_some() {
                        return Err(RegistryError::Realm { registry: self.host(), realm });
                    }
                    if !realm.starts_with("https://") && !self.is_insecure {
                        return Err(self.odd("its tokens come over plain http".to_owned()));
                    }
                }
                let scope = format!("repository:{}:pull", self.reference.repository);
                let url = challenge::token_url(&realm, service.as_deref(), &scope);
                Some(format!("Bearer {}", self.token(&url, basic.as_deref())?))
            }
        };
        Ok(())
    }

    fn token(&self, url: &str, basic: Option<&str>) -> Result<String, RegistryError> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let answer = self.exchange.get(url, &[("Authorization", basic)], self.attend)?;
        match answer.status {
            200 => {}
            401 | 403 => return Err(self.denied("a token", answer.status)),
            status => {
                return Err(RegistryError::Status { registry: self.host(), what: "a token".to_owned(), status });
            }
        }
        let bytes = self.read(answer, TOKEN_BYTES_MAX)?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|token| token.token.or(token.access_token)).unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.odd("its token service gives no token".to_owned()));
        }
        Ok(token)
    }

    /// The document that the reference names: by its digest, or else by its tag.
    fn root(&mut self) -> Result<Vec<u8>, RegistryError> {
        let Reference { tag, digest, .. } = self.reference.clone();
        let name = match (digest, tag) {
            (Some(digest), _) => format!("sha256:{digest}"),
            (None, tag) => tag.unwrap_or_default(),
        };
        let what = format!("image {}", self.reference);
        let answer = self.get(&what, &format!("manifests/{name}"), ACCEPT)?;
        let announced = answer.digest.clone();
        let bytes = self.read(answer, MANIFEST_BYTES_MAX)?;
        let announced = announced.as_deref().filter(|text| text.starts_with("sha256:"));
        let announced = match announced.map(digest_text::parse) {
            Some(None) => return Err(self.odd("it announces a digest that is none".to_owned())),
            Some(found) => found,
            None => None,
        };
        for wanted in digest.into_iter().chain(announced) {
            self.check(&what, &bytes, wanted, None)?;
        }
        Ok(bytes)
    }

    fn document(&mut self, kind: &str, entry: &Descriptor, bytes_max: u64) -> Result<Vec<u8>, RegistryError> {
        let what = format!("document sha256:{}", entry.digest);
        let answer = self.get(&what, &format!("{kind}/sha256:{}", entry.digest), ACCEPT)?;
        let bytes = self.read(answer, bytes_max)?;
        self.check(&what, &bytes, entry.digest, Some(entry.size))?;
        Ok(bytes)
    }

    fn check(
        &self,
        what: &str,
        bytes: &[u8],
        wanted: abide_spec::Digest,
        size: Option<u64>,
    ) -> Result<(), RegistryError> {
        verify::check(bytes, wanted, size).map_err(|source| RegistryError::Mismatch {
            registry: self.host(),
            what: what.to_owned(),
            source,
        })
    }

    fn read(&self, answer: Answer<'_>, bytes_max: u64) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        let read = answer.body.take(bytes_max + 1).read_to_end(&mut bytes);
        read.map_err(|error| registry_error(error, &self.authority))?;
        if bytes.len() as u64 > bytes_max {
            return Err(self.odd(format!("it answers with more than {bytes_max} bytes")));
        }
        Ok(bytes)
    }

    fn host(&self) -> String {
        self.authority.clone()
    }

    fn odd(&self, why: String) -> RegistryError {
        RegistryError::Odd { registry: self.host(), why }
    }

    fn denied(&self, what: &str, status: u16) -> RegistryError {
        let hint = match self.login {
            None => "it wants credentials, and none are given for it",
            Some(_) => "look whether the given credentials are still good and may pull this",
        };
        RegistryError::Denied { registry: self.host(), what: what.to_owned(), status, hint }
    }
}

impl Origin for Registry<'_> {
    fn load(&mut self) -> Result<Loaded, PrepareError> {
        let bytes = self.root()?;
        let document = Document::parse(&bytes)?;
        let fetch = |entry: &Descriptor| -> Result<_, PrepareError> {
            Ok(self.document("manifests", entry, MANIFEST_BYTES_MAX)?)
        };
        let Chosen { bytes, manifest } = document.choose(bytes, fetch)?;
        let too_big = || DocumentError::Malformed { what: "config", why: "it is too big".to_owned() };
        if manifest.config.size > CONFIG_BYTES_MAX {
            return Err(too_big().into());
        }
        let config = self.document("blobs", &manifest.config, CONFIG_BYTES_MAX)?;
        Ok(Loaded { chosen: Chosen { bytes, manifest }, config })
    }

    fn open(&mut self, _number: usize, layer: &Descriptor) -> Result<Box<dyn Read + '_>, PrepareError> {
        let what = format!("layer sha256:{}", layer.digest);
        let answer = self.get(&what, &format!("blobs/sha256:{}", layer.digest), "*/*")?;
        Ok(Box::new(answer.body))
    }

    fn is_announced(&self) -> bool {
        true
    }
}

/// What reading a body failed with.
pub(crate) fn registry_error(error: io::Error, registry: &str) -> RegistryError {
    let why = error.to_string();
    error.downcast().unwrap_or_else(|_| RegistryError::Unreachable { registry: registry.to_owned(), why })
}
