//! The authority's folder.
//!
//! ```text
//! hub/  hub.json      which fleet, and by which names machines reach the hub
//!       root.pem      the root's certificate
//!       root.key      its key, which is needed to make another issuing one, and may lie elsewhere until then
//!       issuing.pem   key and certificate that sign from day to day
//!       server.pem    key and certificate of the hub
//! ```
//!
//! Each file is written whole or not at all, in this order; what is there is never written over but by what takes its place.

use super::{Authority, Lifetime, hex, making};
use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::KeyPair;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::{
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Of `hub.json`.
const FORMAT: u32 = 1;

/// More than any of them has.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of it.
    #[error("{act} {}", path.display())]
    File {
        /// What was done.
        act: &'static str,
        /// To which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is none.
    #[error("{} is not there: make it with `abide hub init --name HOST`, or copy the folder from another process of this hub", .0.display())]
    None(PathBuf),
    /// A file says nothing that is known.
    #[error("{} can't be read ({why}): put back a copy of it", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// By a later release.
    #[error("{} was written by a later release: run that", .0.display())]
    Later(PathBuf),
    /// What was made before is for something else.
    #[error("{} is the hub of {have}: it can't be made one of {asked}. Choose another root, or change `names` in hub.json and remove server.pem", path.display())]
    Other {
        /// Where.
        path: PathBuf,
        /// Of what.
        have: String,
        /// Of what it was to be.
        asked: String,
    },
    /// The root's key is needed, and isn't here.
    #[error("{} isn't here: say where it is with --root-key FILE", .0.display())]
    NoRootKey(PathBuf),
    /// It is another one's.
    #[error("what was made with that key isn't good for this fleet's root: is it the root's key? ({0})")]
    NotOurRoot(String),
    /// The maker.
    #[error("making a certificate")]
    Making(#[from] rcgen::Error),
    /// No randomness.
    #[error("the kernel gives no random numbers")]
    Random,
}

/// What a hub is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// The names and addresses by which machines reach it.
    pub names: Vec<String>,
    /// How the fleet is called in its tree.
    pub fleet_name: String,
}

/// What became of making one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It was made.
    Now,
    /// It was there.
    Before,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    format: u32,
    pub(super) fleet: String,
    fleet_name: String,
    pub(super) names: Vec<String>,
}

impl Authority {
    /// Makes it in the folder `hub`, or as much of it as isn't there yet.
    pub fn init(folder: &Path, init: &Init, now: i64) -> Result<(Self, Made), AuthorityError> {
        let make = || DirBuilder::new().mode(0o700).recursive(true).create(folder);
        make().map_err(file("making the folder", folder))?;
        let made = if folder.join("hub.json").exists() { Made::Before } else { Made::Now };
        let record = match made {
            Made::Before => present(folder, init)?,
            Made::Now => begin(folder, init)?,
        };
        if !folder.join("root.pem").exists() {
            let key = match read_optional(&folder.join("root.key"))? {
                Some(pem) => key_of(&pem, &folder.join("root.key"))?,
                None => KeyPair::generate()?,
            };
            write(&folder.join("root.key"), key.serialize_pem().as_bytes())?;
            let (root, _) = making::root(key, &record.fleet, now)?;
            write(&folder.join("root.pem"), pem(&root).as_bytes())?;
        }
        if !folder.join("issuing.pem").exists() {
            Self::renew_issuing(folder, &folder.join("root.key"), now)?;
        }
        Ok((Self::open(folder, Lifetime::default(), now)?, made))
    }

    /// Opens it. The hub's own certificate is made anew where it is missing or ends soon, or would last too long.
    pub fn open(folder: &Path, lifetime: Lifetime, now: i64) -> Result<Self, AuthorityError> {
        let record = record(folder)?;
        let root = certificate_of(&read(&folder.join("root.pem"))?, &folder.join("root.pem"))?;
        let (key, issuing) = pair(&folder.join("issuing.pem"))?;
        let issuer = making::issuing_signer(key, &record.fleet);
        let path = folder.join("server.pem");
        let server = read_optional(&path)?.map(|text| parse_pair(&text, &path)).transpose()?;
        let lasts = |server: &CertificateDer<'_>, time: Duration| {
            is_good(server, &issuing, &root, now.saturating_add(time.as_millis() as i64)).is_ok()
        };
        // One that is made now is good up to that very second.
        let too_long = lifetime.server() + Duration::from_secs(1);
        let (server_key, server) = match server {
            Some((key, server)) if lasts(&server, lifetime.server_left()) && !lasts(&server, too_long) => (key, server),
            _ => {
                let key = KeyPair::generate()?;
                let server = making::server(&issuer, &key, &record.names, now, lifetime)?;
                is_good(&server, &issuing, &root, now).map_err(AuthorityError::NotOurRoot)?;
                write(&path, (key.serialize_pem() + &pem(&server)).as_bytes())?;
                (key, server)
            }
        };
        let server_key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        Ok(Self { folder: folder.to_owned(), record, lifetime, root, issuer, issuing, server, server_key })
    }

    /// Makes another issuing key with the root's; the one before goes. What that signed stays good for machines
    /// until it ends; a hub takes of it only what a machine that it knows shows with that machine's own key.
    pub fn renew_issuing(folder: &Path, root_key: &Path, now: i64) -> Result<(), AuthorityError> {
        let record = record(folder)?;
        let root = certificate_of(&read(&folder.join("root.pem"))?, &folder.join("root.pem"))?;
        let Some(text) = read_optional(root_key)? else { return Err(AuthorityError::NoRootKey(root_key.to_owned())) };
        let signer = making::root_signer(key_of(&text, root_key)?, &record.fleet);
        let key = KeyPair::generate()?;
        let issuing = making::issuing(&signer, &key, &record.fleet, now)?;
        let text = key.serialize_pem() + &pem(&issuing);
        // Its first work shows whether machines will believe it.
        let issuer = making::issuing_signer(key, &record.fleet);
        let server_key = KeyPair::generate()?;
        let server = making::server(&issuer, &server_key, &record.names, now, Lifetime::default())?;
        is_good(&server, &issuing, &root, now).map_err(AuthorityError::NotOurRoot)?;
        write(&folder.join("issuing.pem"), text.as_bytes())
    }

    /// What has to be in the tree's `fleet.yaml`.
    pub fn fleet_yaml(&self) -> String {
        format!(
            "apiVersion: abide.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: {}}}\nspec:\n  id: {}\n  machines:\n    - {{names: [\"*\"], paths: [base]}}\n",
            self.record.fleet_name, self.record.fleet
        )
    }

    /// Whether the issuing certificate is good for so long from now on.
    pub fn issues_for(&self, time: Duration, now: i64) -> bool {
        let at = now.saturating_add(time.as_millis() as i64);
        // Those that it signs last less long than it: one that is made for the purpose tells.
        let sample = KeyPair::generate()
            .and_then(|key| making::server(&self.issuer, &key, &self.record.names, at, self.lifetime));
        sample.is_ok_and(|sample| is_good(&sample, &self.issuing, &self.root, at).is_ok())
    }
}

fn begin(folder: &Path, init: &Init) -> Result<Record, AuthorityError> {
    let mut id = [0; 16];
    SystemRandom::new().fill(&mut id).map_err(|_| AuthorityError::Random)?;
    let record =
        Record { format: FORMAT, fleet: hex(&id), fleet_name: init.fleet_name.clone(), names: init.names.clone() };
    // A name that can't be in a certificate is noticed before anything is there.
    rcgen::CertificateParams::new(record.names.clone())?;
    let text = serde_json::to_vec_pretty(&record)
        .map_err(|error| AuthorityError::Damaged { path: folder.join("hub.json"), why: error.to_string() })?;
    write(&folder.join("hub.json"), &text)?;
    Ok(record)
}

fn present(folder: &Path, init: &Init) -> Result<Record, AuthorityError> {
    let record = record(folder)?;
    if record.names == init.names && record.fleet_name == init.fleet_name {
        return Ok(record);
    }
    let words = |fleet: &str, names: &[String]| format!("fleet {fleet} at {}", names.join(", "));
    Err(AuthorityError::Other {
        path: folder.to_owned(),
        have: words(&record.fleet_name, &record.names),
        asked: words(&init.fleet_name, &init.names),
    })
}

fn record(folder: &Path) -> Result<Record, AuthorityError> {
    let path = folder.join("hub.json");
    let Some(text) = read_optional(&path)? else { return Err(AuthorityError::None(folder.to_owned())) };
    let record: Record = serde_json::from_str(&text)
        .map_err(|error| AuthorityError::Damaged { path: path.clone(), why: error.to_string() })?;
    if record.format > FORMAT { Err(AuthorityError::Later(path)) } else { Ok(record) }
}

/// Whether machines will believe a hub that shows this, at a time.
fn is_good(
    server: &CertificateDer<'_>,
    issuing: &CertificateDer<'_>,
    root: &CertificateDer<'_>,
    at: i64,
) -> Result<(), String> {
    let words = |error: webpki::Error| error.to_string();
    let anchor = anchor_from_trusted_cert(root).map_err(words)?;
    let certificate = EndEntityCert::try_from(server).map_err(words)?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    let time = UnixTime::since_unix_epoch(Duration::from_millis(at.max(0).unsigned_abs()));
    let (anchors, between) = ([anchor], [issuing.clone()]);
    certificate
        .verify_for_usage(algorithms, &anchors, &between, time, KeyUsage::server_auth(), None, None)
        .map(drop)
        .map_err(words)
}

fn pair(path: &Path) -> Result<(KeyPair, CertificateDer<'static>), AuthorityError> {
    parse_pair(&read(path)?, path)
}

fn parse_pair(text: &str, path: &Path) -> Result<(KeyPair, CertificateDer<'static>), AuthorityError> {
    Ok((key_of(text, path)?, certificate_of(text, path)?))
}

fn key_of(text: &str, path: &Path) -> Result<KeyPair, AuthorityError> {
    let damaged = |why: String| AuthorityError::Damaged { path: path.to_owned(), why };
    let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|error| damaged(error.to_string()))?;
    KeyPair::try_from(&key).map_err(|error| damaged(error.to_string()))
}

fn certificate_of(text: &str, path: &Path) -> Result<CertificateDer<'static>, AuthorityError> {
    CertificateDer::from_pem_slice(text.as_bytes())
        .map_err(|error| AuthorityError::Damaged { path: path.to_owned(), why: error.to_string() })
}

/// A certificate as PEM.
pub(super) fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = BASE64_STANDARD.encode(certificate);
    let lines: String =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect();
    format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
}

fn file(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuthorityError {
    move |source| AuthorityError::File { act, path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    read_optional(path)?.ok_or_else(|| AuthorityError::File {
        act: "reading",
        path: path.to_owned(),
        source: io::ErrorKind::NotFound.into(),
    })
}

fn read_optional(path: &Path) -> Result<Option<String>, AuthorityError> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file("reading", path)(error)),
    }
}

/// For root alone, and there after a crash or not.
fn write(path: &Path, content: &[u8]) -> Result<(), AuthorityError> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(file("writing", path))
}
