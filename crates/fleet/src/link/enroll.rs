//! How a machine becomes one of a fleet, and stays it.
//!
//! ```text
//!   keys made, synced ─► token, name, public keys ─► certificate ─► checked, written ─► enrolled
//!          ▲                                             │
//!          └─────────── no answer: again, same keys ◄────┘
//! ```

use super::{
    address::Address,
    client::Client,
    clock::{Clock, Own},
    dial::Dialer,
    identity::{Asked, BadCertificate, Folder, Identity, IdentityError},
    key::{Key, KeyError},
    proxy::Proxy,
    tls::{self, CertificateTrouble, Root},
    token::Token,
    trouble::Trouble,
    words,
};
use crate::{
    protocol::{Enroll, Enrolled, Renew},
    trust::{State, age, state::StateError},
};
use abide_spec::{Name, fleet};
use std::sync::Arc;

/// Hexadecimal digits of a fleet's id.
const FLEET_DIGITS: usize = 32;

/// What a machine's owner wants.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// Where.
    pub hub: Address,
    /// The right to.
    pub token: Token,
    /// As which machine.
    pub name: Name,
    /// This release.
    pub version: String,
    /// Who must have signed the first commit; if it isn't said, the first one that the hub shows is believed.
    pub signers: Option<fleet::Signers>,
    /// Though it is enrolled already.
    pub again: bool,
}

/// Why a machine is not one of the fleet.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// It is already.
    #[error("this machine is {} of the fleet {} at {} already", .0.name, .0.fleet, .0.hub)]
    Already(Box<Identity>),
    /// It isn't.
    #[error("this machine is enrolled nowhere")]
    Never,
    /// What it believes is pinned.
    #[error(
        "this machine is of the fleet {pinned}, and this hub's is {found}: what it accepted from one can't be followed by another's"
    )]
    OtherFleet {
        /// Which it is of.
        pinned: String,
        /// Which the hub is of.
        found: String,
    },
    /// Signers are only for the first commit.
    #[error(
        "this machine has accepted commits already, and only what these say can change who signs: leave the signers out"
    )]
    Pinned,
    /// What it remembers.
    #[error(transparent)]
    State(#[from] StateError),
    /// The hub can't be asked, or refuses.
    #[error(transparent)]
    Hub(#[from] Trouble),
    /// The hub says nonsense.
    #[error("the hub's answer is refused: {0}")]
    Answer(&'static str),
    /// Of the certificate as well.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// What the machine keeps.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Making keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Making the other key.
    #[error("making a key to decrypt with")]
    Age(#[from] age::EncryptError),
    /// What is kept of it.
    #[error("reading the key to decrypt with")]
    BadAge(#[from] age::BadKey),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] CertificateTrouble),
}

/// Makes this machine one of the fleet. Done again after a crash or without an answer, it goes on with the same keys.
pub async fn enroll(folder: &Folder, wanted: &Enrolment, own: Own) -> Result<Identity, EnrollError> {
    let present = if wanted.again { None } else { folder.identity()? };
    if let Some(present) = present {
        return Err(EnrollError::Already(Box::new(present)));
    }
    // It is clear before the token is used.
    if wanted.signers.is_some() && State::read(folder.source())?.is_some_and(|state| state.head.is_some()) {
        return Err(EnrollError::Pinned);
    }
    let asked = keys(folder, wanted)?;
    let key = Key::of_pem(&asked.key)?;
    let recipient = age::Identity::parse(&asked.age)?.recipient().to_string();
    let mut request = Enroll {
        token: wanted.token.shown.clone(),
        name: wanted.name.to_string(),
        key: key.public(),
        proof: String::new(),
        recipient,
        version: wanted.version.clone(),
    };
    request.proof = key.sign(&request.possession())?;
    let clock = Arc::new(Clock::new(own, 0));
    let tls = tls::config(Root::Named(wanted.token.root), None, &clock)?;
    let enrolled = client(&wanted.hub, tls, &clock)?.enroll(&request).await?;
    let identity = checked(&asked, wanted, enrolled)?;
    // One that can't be read is no reason to stay so.
    if let Ok(Some(before)) = folder.identity()
        && before.fleet != identity.fleet
    {
        return Err(EnrollError::OtherFleet { pinned: before.fleet, found: identity.fleet });
    }
    // The owner says who the hub is: what another one said, or this one before, is in nobody's way. What can't be read
    // here is said by the agent, which can't go on without it.
    if let Ok(Some(mut state)) = State::read(folder.source()) {
        state.forget_number();
        state.write(folder.source())?;
    }
    if let Some(signers) = &wanted.signers {
        // Before the identity: without them, the machine would believe anything first.
        State::new(&identity.fleet, Some(signers.into())).write(folder.source())?;
    }
    folder.write_identity(&identity)?;
    Ok(identity)
}

/// The keys to ask with: those that were asked with before, or new ones, which are on disk then.
fn keys(folder: &Folder, wanted: &Enrolment) -> Result<Asked, EnrollError> {
    let (hub, name) = (wanted.hub.to_string(), wanted.name.to_string());
    // Keys that can't be read were never certified, or are revoked.
    if let Some(asked) = folder.asked().ok().flatten().filter(|asked| asked.hub == hub && asked.name == name) {
        return Ok(asked);
    }
    let asked = Asked::new(&wanted.hub, &wanted.name, Key::make()?.to_pem(), age::Identity::generate()?.to_file());
    folder.write_asked(&asked)?;
    Ok(asked)
}

/// What the hub answered, if it is what was asked for.
fn checked(asked: &Asked, wanted: &Enrolment, enrolled: Enrolled) -> Result<Identity, EnrollError> {
    let Enrolled { fleet, name, issued, root } = enrolled;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if fleet.len() != FLEET_DIGITS || !fleet.bytes().all(is_digit) {
        return Err(EnrollError::Answer("it names no fleet"));
    }
    if name != asked.name {
        return Err(EnrollError::Answer("it is about another machine"));
    }
    let roots = tls::certificates(&root).unwrap_or_default();
    if roots.len() != 1 || tls::fingerprint(&roots[0]) != wanted.token.root {
        return Err(EnrollError::Answer("its root is not the one that the token names"));
    }
    Ok(Identity::enrolled(asked, fleet, root, issued)?)
}

/// Gets a new certificate for a new key, without using it so far.
pub(super) async fn renewed(client: &Client, identity: &Identity) -> Result<Identity, EnrollError> {
    let key = Key::make()?;
    let mut request = Renew { key: key.public(), proof: String::new() };
    request.proof = key.sign(&request.possession(&identity.name))?;
    let issued = client.renew(&request).await?;
    Ok(identity.renewed(key.to_pem(), issued)?)
}

/// Renews the certificate now.
pub async fn renew(folder: &Folder, own: Own) -> Result<Identity, EnrollError> {
    let identity = folder.identity()?.ok_or(EnrollError::Never)?;
    let clock = Arc::new(Clock::new(own, identity.issued_at));
    let renewed = renewed(&client_of(&identity, &clock)?, &identity).await?;
    folder.write_identity(&renewed)?;
    Ok(renewed)
}

/// Whether the hub answers, and is the one that is believed. Says until when the machine's certificate holds.
pub async fn greet(identity: &Identity, own: Own) -> Result<String, EnrollError> {
    let clock = Arc::new(Clock::new(own, identity.issued_at));
    client_of(identity, &clock)?.greet().await?;
    Ok(words::date(identity.expires_at))
}

/// A client that shows who the machine is.
pub(super) fn client_of(identity: &Identity, clock: &Arc<Clock>) -> Result<Client, EnrollError> {
    let hub =
        identity.hub.parse().map_err(|_| EnrollError::Answer("the address of the hub that is kept can't be read"))?;
    client(&hub, identity.config(clock)?, clock)
}

fn client(hub: &Address, tls: rustls::ClientConfig, clock: &Arc<Clock>) -> Result<Client, EnrollError> {
    let proxy = Proxy::of(&hub.host, |name| std::env::var(name).ok())?;
    let dialer = Dialer { address: hub.clone(), tls: Arc::new(tls), proxy };
    Ok(Client::new(dialer, Arc::clone(clock)))
}
