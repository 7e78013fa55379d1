use super::*;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use rustls::{
    crypto::ring::default_provider,
    pki_types::{UnixTime, pem::PemObject},
};
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

const NOW: i64 = 1_800_000_000_000;
const DAY: i64 = 24 * 3600 * 1000;
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

fn init() -> Init {
    Init { names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()], fleet_name: "shops".to_owned() }
}

fn machine_key() -> (EcdsaKeyPair, Vec<u8>) {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
    let point = key.public_key().as_ref().to_vec();
    (key, point)
}

fn is_machine(authority: &Authority, chain: &str, at: i64) -> Result<Identity, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
    let anchors = [anchor_from_trusted_cert(authority.root()).unwrap()];
    let time = UnixTime::since_unix_epoch(Duration::from_millis(at.unsigned_abs()));
    let certificate = EndEntityCert::try_from(&chain[0]).unwrap();
    let algorithms = default_provider().signature_verification_algorithms.all;
    certificate
        .verify_for_usage(algorithms, &anchors, &chain[1..], time, KeyUsage::client_auth(), None, None)
        .map_err(|error| error.to_string())?;
    Ok(Identity::of(&chain[0]).unwrap())
}

#[test]
fn a_machine_is_who_its_certificate_says() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, made) = Authority::init(folder.path(), &init(), NOW).unwrap();
    assert_eq!(made, Made::Now);
    let (_, point) = machine_key();
    let issued = authority.issue("till-1", &point, RECIPIENT, NOW, NOW).unwrap();
    let identity = is_machine(&authority, &issued.chain, NOW).unwrap();
    let (name, fleet) = ("till-1".parse().unwrap(), authority.fleet().to_owned());
    assert_eq!(identity, Identity { name, serial: NOW, fleet, recipient: RECIPIENT.to_owned() });
    assert_eq!((issued.renew_at, issued.expires_at), ((NOW + 20 * DAY) / 1000, (NOW + 30 * DAY) / 1000));
    assert!(
        is_machine(&authority, &issued.chain, NOW - 3_000_000).is_ok(),
        "a clock that is slow by less than an hour"
    );
    assert!(is_machine(&authority, &issued.chain, NOW + 31 * DAY).is_err());
}

/// A hub's clock that was ahead once leaves serials of days to come: who is certified after them is met all the same.
#[test]
fn a_serial_is_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, _) = Authority::init(folder.path(), &init(), NOW).unwrap();
    let (_, point) = machine_key();
    let serial = NOW + 60 * DAY;
    let issued = authority.issue("till-1", &point, RECIPIENT, serial, NOW).unwrap();
    assert_eq!(is_machine(&authority, &issued.chain, NOW).unwrap().serial, serial);
    assert_eq!((issued.now, issued.expires_at), (NOW / 1000, (NOW + 30 * DAY) / 1000));
    assert!(is_machine(&authority, &issued.chain, NOW + 31 * DAY).is_err());
}

#[test]
fn the_hub_itself_is_no_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, _) = Authority::init(folder.path(), &init(), NOW).unwrap();
    let (chain, _) = authority.server();
    assert_eq!(Identity::of(&chain[0]), Err(NoIdentity));
    let text: String = chain.iter().map(files::pem).collect();
    assert!(is_machine(&authority, &text, NOW).is_err());
}

#[test]
fn what_is_there_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = Authority::init(folder.path(), &init(), NOW).unwrap();
    let (second, made) = Authority::init(folder.path(), &init(), NOW + DAY).unwrap();
    assert_eq!(made, Made::Before);
    assert_eq!((first.root(), first.fleet(), first.server().0), (second.root(), second.fleet(), second.server().0));
    let other = Init { names: vec!["elsewhere".to_owned()], ..init() };
    assert!(matches!(Authority::init(folder.path(), &other, NOW), Err(AuthorityError::Other { .. })));
    for file in fs::read_dir(folder.path()).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn the_roots_key_may_be_elsewhere() {
    let (folder, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (authority, _) = Authority::init(folder.path(), &init(), NOW).unwrap();
    let (_, point) = machine_key();
    let before = authority.issue("till-1", &point, "", NOW, NOW).unwrap();
    let key = away.path().join("root.key");
    fs::rename(folder.path().join("root.key"), &key).unwrap();
    let here = folder.path().join("root.key");
    assert!(matches!(Authority::renew_issuing(folder.path(), &here, NOW), Err(AuthorityError::NoRootKey(_))));
    Authority::renew_issuing(folder.path(), &key, NOW + DAY).unwrap();
    let authority = Authority::open(folder.path(), Lifetime::default(), NOW + DAY).unwrap();
    let after = authority.issue("till-1", &point, "", NOW + DAY, NOW + DAY).unwrap();
    assert!(is_machine(&authority, &before.chain, NOW + DAY).is_ok());
    assert!(is_machine(&authority, &after.chain, NOW + DAY).is_ok());
    let (stranger, _) = Authority::init(&away.path().join("other"), &init(), NOW).unwrap();
    let strange = stranger.folder().join("root.key");
    let refused = Authority::renew_issuing(folder.path(), &strange, NOW).unwrap_err();
    assert!(matches!(refused, AuthorityError::NotOurRoot(_)), "{refused}");
    assert!(is_machine(&stranger, &after.chain, NOW + DAY).is_err());
}

#[test]
fn the_hubs_own_certificate_is_renewed_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, _) = Authority::init(folder.path(), &init(), NOW).unwrap();
    let of = |at| Authority::open(folder.path(), Lifetime::default(), at).unwrap().server().0;
    assert_eq!(of(NOW + 59 * DAY), authority.server().0);
    let renewed = of(NOW + 61 * DAY);
    assert_ne!(renewed, authority.server().0);
    assert_eq!(of(NOW + 62 * DAY), renewed);
    assert!(authority.issues_for(Duration::from_secs(100 * 24 * 3600), NOW));
    assert!(!authority.issues_for(Duration::from_secs(100 * 24 * 3600), NOW + 700 * DAY));
}

#[test]
fn a_key_is_proved_by_a_signature() {
    let (key, point) = machine_key();
    let proof = key.sign(&SystemRandom::new(), b"this").unwrap();
    assert!(has_key(&point, b"this", proof.as_ref()));
    assert!(!has_key(&point, b"that", proof.as_ref()));
    assert!(!has_key(b"no key", b"this", proof.as_ref()));
    let folder = tempfile::tempdir().unwrap();
    let (authority, _) = Authority::init(folder.path(), &init(), NOW).unwrap();
    assert!(matches!(authority.issue("till-1", b"no key", "", NOW, NOW), Err(NotIssued::Key)));
    assert!(matches!(authority.issue("Till", &point, "", NOW, NOW), Err(NotIssued::Name)));
}

#[test]
fn what_is_damaged_or_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Authority::open(folder.path(), Lifetime::default(), NOW), Err(AuthorityError::None(_))));
    Authority::init(folder.path(), &init(), NOW).unwrap();
    fs::write(folder.path().join("issuing.pem"), "nothing").unwrap();
    let error = Authority::open(folder.path(), Lifetime::default(), NOW).unwrap_err().to_string();
    assert!(error.contains("issuing.pem"), "{error}");
    fs::write(folder.path().join("hub.json"), r#"{"format":9,"fleet":"","fleetName":"","names":[]}"#).unwrap();
    assert!(matches!(Authority::open(folder.path(), Lifetime::default(), NOW), Err(AuthorityError::Later(_))));
}
