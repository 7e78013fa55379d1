//! Who this machine is: its keys, its certificate, and the hub that it believes. In one file, so that what belongs
//! together is replaced together:
//!
//! ```text
//! identity/  asked.json      keys whose certificate is being asked for: a lost answer is asked for again, with these
//!            identity.json   what is shown to the hub
//!            next.json       the same, renewed: takes the other's place when the hub has let it in
//! ```

use super::{
    address::Address,
    certificate::{self, Times, Untrusted},
    clock::Clock,
    key::KeyError,
    tls::{self, CertificateTrouble, Root, Shown},
    words,
};
use crate::{
    protocol::Issued,
    server::authority::Identity as Certified,
    trust::age::{self, Recipient},
};
use abide_spec::Name;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Of the files.
const FORMAT: u32 = 1;

/// By so many seconds what is said of a certificate may be beside what is in it: it has no parts of seconds.
const MOMENT: i64 = 2;

/// Who a machine is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    format: u32,
    /// The hub's URL.
    pub hub: String,
    /// The fleet that it is of.
    pub fleet: String,
    /// Its name in the fleet.
    pub name: String,
    /// The root that hubs of the fleet are known by: PEM.
    pub(super) root: String,
    /// Of the certificate: PEM.
    pub(super) key: String,
    /// The certificate and those above it: PEM.
    pub(super) chain: String,
    /// What opens values that are encrypted for this machine, as `age-keygen` writes it.
    pub(super) age: String,
    /// When the certificate was issued, as it says itself: seconds since 1970, by the hub's clock.
    pub issued_at: i64,
    /// When it is to be renewed: after two thirds of its time.
    pub renew_at: i64,
    /// When it expires.
    pub expires_at: i64,
}

/// Keys whose certificate is being asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    format: u32,
    pub(super) hub: String,
    pub(super) name: String,
    pub(super) key: String,
    pub(super) age: String,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
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
    /// A file says nothing that is known.
    #[error("{} can't be read ({why}): revoke the machine on the hub, and enrol it anew with `abide enroll --again`", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// By a later release.
    #[error("{} was written by a later release of abide: run that", .0.display())]
    Later(PathBuf),
    /// Its parts.
    #[error("the machine's identity can't be used")]
    Parts(#[from] CertificateTrouble),
    /// Its key.
    #[error("the machine's identity can't be used")]
    Key(#[from] KeyError),
}

/// Why what the hub issued is no certificate for this machine.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// It can't be read, or is another key's.
    #[error("the hub issued a certificate that can't be used")]
    Parts(#[from] CertificateTrouble),
    /// It isn't of the authority that is believed.
    #[error("the hub issued a certificate that can't be used")]
    Chain(#[from] Untrusted),
    /// The hub says something else of it than it says itself.
    #[error(
        "the hub says that the certificate is issued on {}, to be renewed on {} and expires on {}, and the certificate says that it is good from {} to {}",
        words::date(.said[0]), words::date(.said[1]), words::date(.said[2]), words::date(.is[0]), words::date(.is[1])
    )]
    Times {
        /// Issued, to be renewed, expired, as the hub says: seconds since 1970.
        said: [i64; 3],
        /// From when to when it is good, as it says itself.
        is: [i64; 2],
    },
    /// It is another machine's.
    #[error("the hub issued a certificate for {found}, and one for {wanted} was asked for")]
    Name {
        /// In the certificate.
        found: String,
        /// Asked for.
        wanted: String,
    },
    /// Values for the machine would be encrypted to somebody else: a hub that forgot to whom learns it from certificates.
    #[error(
        "the hub issued a certificate by which values for this machine are encrypted to {found}, and this machine's is {own}: is the hub somebody else's?"
    )]
    Recipient {
        /// In the certificate.
        found: String,
        /// The machine's own.
        own: Recipient,
    },
    /// What it is compared with.
    #[error("the key to decrypt with can't be read")]
    Age(#[from] age::BadKey),
}

/// The folder of a machine's identity.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The one of the source whose state is in this folder.
    pub fn of(source: &Path) -> Self {
        Self(source.join("identity"))
    }

    /// The state folder of the source.
    pub(super) fn source(&self) -> &Path {
        self.0.parent().unwrap_or(&self.0)
    }

    /// Who the machine is, if it was enrolled.
    pub fn identity(&self) -> Result<Option<Identity>, IdentityError> {
        self.read("identity.json", |identity: &Identity| identity.format)
    }

    /// What is to take its place, if it was renewed and not let in so far.
    pub(super) fn next(&self) -> Result<Option<Identity>, IdentityError> {
        self.read("next.json", |identity: &Identity| identity.format)
    }

    pub(super) fn asked(&self) -> Result<Option<Asked>, IdentityError> {
        self.read("asked.json", |asked: &Asked| asked.format)
    }

    pub(super) fn write_asked(&self, asked: &Asked) -> Result<(), IdentityError> {
        self.write("asked.json", asked)
    }

    /// The machine is this from now on.
    pub(super) fn write(&self, name: &'static str, what: &impl Serialize) -> Result<(), IdentityError> {
        let path = self.0.join(name);
        let written = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            let new = path.with_extension("new");
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec_pretty(what)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            self.sync()
        };
        written().map_err(|source| IdentityError::File { act: "writing", path: path.clone(), source })
    }

    pub(super) fn write_identity(&self, identity: &Identity) -> Result<(), IdentityError> {
        self.write("identity.json", identity)?;
        self.remove("asked.json")?;
        self.remove("next.json")
    }

    pub(super) fn write_next(&self, identity: &Identity) -> Result<(), IdentityError> {
        self.write("next.json", identity)
    }

    /// What was renewed takes the place of what was shown before.
    pub(super) fn take_next(&self) -> Result<(), IdentityError> {
        let path = self.0.join("next.json");
        let moved = fs::rename(&path, self.0.join("identity.json")).and_then(|()| self.sync());
        moved.map_err(|source| IdentityError::File { act: "moving", path, source })
    }

    pub(super) fn drop_next(&self) -> Result<(), IdentityError> {
        self.remove("next.json")
    }

    /// The folder's list is on disk; and that there is such a folder.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()?;
        self.0.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }

    fn remove(&self, name: &str) -> Result<(), IdentityError> {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| self.sync()).map_err(|source| IdentityError::File {
                act: "removing",
                path,
                source,
            }),
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &str, format: fn(&T) -> u32) -> Result<Option<T>, IdentityError> {
        let path = self.0.join(name);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| IdentityError::File { act: "reading", path: path.clone(), source })?,
        };
        let read: Result<T, _> = serde_json::from_slice(&bytes);
        match read {
            Ok(read) if format(&read) > FORMAT => Err(IdentityError::Later(path)),
            Ok(read) => Ok(Some(read)),
            Err(error) => Err(IdentityError::Damaged { path, why: error.to_string() }),
        }
    }
}

impl Asked {
    pub(super) fn new(hub: &Address, name: &Name, key: String, age: String) -> Self {
        Self { format: FORMAT, hub: hub.to_string(), name: name.to_string(), key, age }
    }
}

impl Identity {
    /// What an enrolment came to.
    pub(super) fn enrolled(asked: &Asked, fleet: String, root: String, issued: Issued) -> Result<Self, BadCertificate> {
        let Asked { hub, name, key, age, .. } = asked.clone();
        let (issued_at, renew_at, expires_at) = (issued.now, issued.renew_at, issued.expires_at);
        let chain = issued.chain;
        let said = Self { format: FORMAT, hub, fleet, name, root, key, chain, age, issued_at, renew_at, expires_at };
        said.checked()
    }

    /// The same with another certificate.
    pub(super) fn renewed(&self, key: String, issued: Issued) -> Result<Self, BadCertificate> {
        let Issued { chain, renew_at, expires_at, now } = issued;
        Self { key, chain, renew_at, expires_at, issued_at: now, ..self.clone() }.checked()
    }

    /// The same with the times that the certificate has, if that is what was asked for and the hub didn't lie about it.
    fn checked(self) -> Result<Self, BadCertificate> {
        let clock = Arc::new(Clock::new(Arc::new(|| 0), 0));
        self.config(&clock)?;
        let times = certificate::times(&self.chain, &self.root)?;
        let is_within = |at: i64| (times.issued_at - MOMENT..=times.ends_at.saturating_add(MOMENT)).contains(&at);
        let said = [self.issued_at, self.renew_at, self.expires_at];
        if !said.into_iter().all(is_within) {
            return Err(BadCertificate::Times { said, is: [times.issued_at, times.ends_at] });
        }
        let chain = tls::certificates(&self.chain).ok_or(CertificateTrouble::Pem("certificate"))?;
        let certified = Certified::of(&chain[0]).map_err(|_| CertificateTrouble::Pem("certificate"))?;
        let own = self.recipient()?;
        if !certified.recipient.is_empty() && certified.recipient != own.to_string() {
            return Err(BadCertificate::Recipient { found: certified.recipient, own });
        }
        if certified.name.as_str() == self.name && certified.fleet == self.fleet {
            let Times { issued_at, renew_at, expires_at, .. } = times;
            return Ok(Self { issued_at, renew_at, expires_at, ..self });
        }
        let wanted = format!("{} of the fleet {}", self.name, self.fleet);
        Err(BadCertificate::Name {
            found: format!("{} of the fleet {}", certified.name.as_str(), certified.fleet),
            wanted,
        })
    }

    /// To whom values for this machine are encrypted, as only the machine itself knows for sure.
    pub fn recipient(&self) -> Result<Recipient, age::BadKey> {
        Ok(age::Identity::parse(&self.age)?.recipient())
    }

    /// How it talks to its hub.
    pub(super) fn config(&self, clock: &Arc<Clock>) -> Result<ClientConfig, CertificateTrouble> {
        let roots = tls::certificates(&self.root).ok_or(CertificateTrouble::Pem("root"))?;
        let shown = Shown { chain: self.chain.clone(), key: self.key.clone() };
        tls::config(Root::Pinned(roots[0].to_vec()), Some(&shown), clock)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} of {})", self.name, self.fleet)
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked({} of {})", self.name, self.hub)
    }
}
