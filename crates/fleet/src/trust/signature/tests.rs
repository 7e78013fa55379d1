use super::*;
use crate::trust::object::{Commit, Tag};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::{fs, io::Write, path::Path, process::Command, process::Stdio};

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    let done = command.output().expect("git and ssh-keygen are installed");
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// A repository in which commits and tags are signed by a key that `ssh-keygen` made.
fn repository() -> (tempfile::TempDir, Key) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    run(at, "git", &["init", "-q", "-b", "main"]);
    run(at, "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "anna", "-f", "key"]);
    for (word, value) in
        [("user.name", "Anna"), ("user.email", "a@b"), ("gpg.format", "ssh"), ("user.signingKey", "key.pub")]
    {
        run(at, "git", &["config", word, value]);
    }
    let key = Key::parse(&fs::read_to_string(at.join("key.pub")).unwrap()).unwrap();
    (folder, key)
}

#[test]
fn what_git_signs_is_believed_and_nothing_else() {
    let (folder, key) = repository();
    let at = folder.path();
    run(at, "git", &["commit", "-q", "-S", "--allow-empty", "-m", "One\n\nMore.\n"]);
    let content = run(at, "git", &["cat-file", "commit", "HEAD"]);
    let (payload, armored) = Commit::parse(&content).unwrap().signed.unwrap();
    let keys = [key];
    assert_eq!(verify(&keys, &payload, &armored).unwrap(), &keys[0]);
    let listed = String::from_utf8(run(at, "ssh-keygen", &["-l", "-f", "key.pub"])).unwrap();
    assert!(listed.contains(&keys[0].fingerprint()), "{listed}");
    let other = [b"x".as_slice(), &payload].concat();
    assert!(matches!(verify(&keys, &other, &armored), Err(BadSignature::Wrong(_))));
    let (_other, stranger) = repository();
    assert_eq!(verify(&[stranger], &payload, &armored), Err(BadSignature::Unknown(keys[0].fingerprint())));
    assert_eq!(verify(&keys, &payload, "-----BEGIN PGP SIGNATURE-----\n"), Err(BadSignature::Form));
    run(at, "git", &["tag", "-s", "-m", "A release", "v1"]);
    let content = run(at, "git", &["cat-file", "tag", "v1"]);
    let (payload, armored) = Tag::parse(&content).unwrap().signed.unwrap();
    assert_eq!(verify(&keys, &payload, &armored).unwrap(), &keys[0]);
}

#[test]
fn a_signature_of_a_file_is_none_of_a_commit() {
    let (folder, key) = repository();
    fs::write(folder.path().join("text"), "text").unwrap();
    run(folder.path(), "ssh-keygen", &["-q", "-Y", "sign", "-n", "file", "-f", "key", "text"]);
    let armored = fs::read_to_string(folder.path().join("text.sig")).unwrap();
    assert_eq!(verify(&[key], b"text", &armored), Err(BadSignature::Namespace("file".to_owned())));
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn sha512(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA512, bytes).as_ref().to_vec()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec()
}

/// What a key that lives in a token signs (PROTOCOL.u2f): an ordinary key with a little around what it signs.
#[test]
fn a_key_in_a_token_signs_as_well() {
    const KIND: &[u8] = b"sk-ssh-ed25519@openssh.com";
    let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    let public = [string(KIND), string(pair.public_key().as_ref()), string(b"ssh:")].concat();
    let line = format!("sk-ssh-ed25519@openssh.com {} token", BASE64.encode(&public));
    let payload = b"what is signed";
    let signed =
        [b"SSHSIG".to_vec(), string(b"git"), string(b""), string(b"sha512"), string(&sha512(payload))].concat();
    let counted = [[1_u8].as_slice(), &7_u32.to_be_bytes()].concat();
    let raw = pair.sign(&[sha256(b"ssh:"), counted.clone(), sha256(&signed)].concat());
    let signature = [string(KIND), string(raw.as_ref()), counted].concat();
    let blob = [
        b"SSHSIG".to_vec(),
        1_u32.to_be_bytes().to_vec(),
        string(&public),
        string(b"git"),
        string(b""),
        string(b"sha512"),
        string(&signature),
    ]
    .concat();
    let text = BASE64.encode(blob);
    let lines: Vec<&str> = text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let armored = format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sig"), &armored).unwrap();
    fs::write(folder.path().join("signers"), format!("anna {line}\n")).unwrap();
    let mut peer = Command::new("ssh-keygen");
    peer.args(["-Y", "verify", "-f", "signers", "-I", "anna", "-n", "git", "-s", "sig"]).current_dir(folder.path());
    let mut peer = peer.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    peer.stdin.take().unwrap().write_all(payload).unwrap();
    assert!(peer.wait().unwrap().success(), "ssh-keygen believes it");
    let keys = [Key::parse(&line).unwrap()];
    assert_eq!(verify(&keys, payload, &armored).unwrap(), &keys[0]);
    assert!(matches!(verify(&keys, b"something else", &armored), Err(BadSignature::Wrong(_))));
}

#[test]
fn other_keys_may_not_sign() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "ssh-keygen", &["-q", "-t", "ecdsa", "-N", "", "-f", "key"]);
    let line = fs::read_to_string(folder.path().join("key.pub")).unwrap();
    let bad = Key::parse(&line).unwrap_err();
    assert!(bad.to_string().contains("ssh-ed25519"), "{bad}");
    assert!(matches!(Key::parse("ssh-ed25519 AAAA"), Err(BadKey::Form(_))));
}
