use super::*;
use proptest::prelude::*;
use std::{fs, process::Command};

const CHUNK: usize = 64 << 10;

fn file(armored: &str) -> Vec<u8> {
    armor::read(armored).unwrap()
}

/// Where the content begins.
fn content(file: &[u8]) -> usize {
    file.len() - header::read(file).unwrap().1.len()
}

/// What `age` and `age-keygen` of the distribution do.
fn age(program: &str, arguments: &[&str]) -> Vec<u8> {
    let done = Command::new(program).args(arguments).output().expect("the package age is installed");
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

#[test]
fn age_opens_what_is_written_here_and_writes_what_is_opened_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ours, theirs) = (Identity::generate().unwrap(), path("theirs"));
    fs::write(path("ours"), ours.to_file()).unwrap();
    age("age-keygen", &["-o", &theirs]);
    let read = Identity::parse(&fs::read_to_string(&theirs).unwrap()).unwrap();
    assert_eq!(age("age-keygen", &["-y", &theirs]), format!("{}\n", read.recipient()).into_bytes());
    for length in [0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
        let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        fs::write(path("plain"), &plain).unwrap();
        fs::write(path("sealed"), encrypt(&[read.recipient(), ours.recipient()], &plain).unwrap()).unwrap();
        assert_eq!(age("age", &["-d", "-i", &theirs, &path("sealed")]), plain, "{length} bytes, for one of two");
        assert_eq!(age("age", &["-d", "-i", &path("ours"), &path("sealed")]), plain, "{length} bytes, by our own file");
        let recipient = ours.recipient().to_string();
        let sealed = age("age", &["-a", "-r", &recipient, "-r", &read.recipient().to_string(), &path("plain")]);
        assert_eq!(decrypt(&ours, &String::from_utf8(sealed).unwrap()).unwrap(), plain, "{length} bytes");
    }
}

#[test]
fn whoever_it_is_not_for_is_told_for_whom_to_encrypt() {
    let (ours, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let sealed = encrypt(&[other.recipient()], b"hidden").unwrap();
    let error = decrypt(&ours, &sealed).unwrap_err();
    assert_eq!(error, DecryptError::NotForUs(ours.recipient()));
    assert!(error.to_string().contains(&ours.recipient().to_string()));
    assert_eq!(is_well_formed(&sealed), Ok(()));
}

#[test]
fn chunks_can_be_neither_cut_nor_moved_nor_joined() {
    let ours = Identity::generate().unwrap();
    let whole = file(&encrypt(&[ours.recipient()], &vec![7; 2 * CHUNK + 10]).unwrap());
    let begin = content(&whole) + 16;
    let sealed = CHUNK + 16;
    let (one, two, last) = (begin, begin + sealed, begin + 2 * sealed);
    let pieces = |parts: &[&[u8]]| [&[&whole[..begin]], parts].concat().concat();
    for (what, bytes) in [
        ("the last chunk is gone", whole[..last].to_vec()),
        ("the last byte is gone", whole[..whole.len() - 1].to_vec()),
        ("nothing is left", whole[..begin].to_vec()),
        ("not even the salt is left", whole[..begin - 1].to_vec()),
        ("two chunks changed places", pieces(&[&whole[two..last], &whole[one..two], &whole[last..]])),
        ("a chunk is there twice", pieces(&[&whole[one..two], &whole[one..two], &whole[last..]])),
        ("something follows", [&whole[..], &[0; 16]].concat()),
    ] {
        assert_eq!(decrypt(&ours, &armor::write(&bytes)), Err(DecryptError::Damaged), "{what}");
    }
    let full = file(&encrypt(&[ours.recipient()], &vec![7; CHUNK]).unwrap());
    assert_eq!(full.len() - content(&full), 16 + sealed, "no empty chunk follows a full one");
}

#[test]
fn the_header_is_whole_or_nothing_is_opened() {
    let (ours, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let whole = encrypt(&[ours.recipient(), other.recipient()], b"hidden").unwrap();
    let text = String::from_utf8_lossy(&file(&whole)).into_owned();
    let second = text.match_indices("-> X25519").nth(1).unwrap().0;
    let mac = text.find("\n--- ").unwrap() + 1;
    let bytes = file(&whole);
    let without = [&bytes[..second], &bytes[mac..]].concat();
    assert_eq!(decrypt(&ours, &armor::write(&without)), Err(DecryptError::Forged), "a recipient was taken out");
    let added = [&bytes[..second], b"-> grease a b\n\n".as_slice(), &bytes[second..]].concat();
    assert_eq!(decrypt(&ours, &armor::write(&added)), Err(DecryptError::Forged), "a stanza was put in");
    let version = [b"age-encryption.org/v2\n".as_slice(), &bytes[22..]].concat();
    assert!(matches!(decrypt(&ours, &armor::write(&version)), Err(DecryptError::Header(_))));
    let nobody = [&bytes[..22], &bytes[mac..]].concat();
    assert!(matches!(decrypt(&ours, &armor::write(&nobody)), Err(DecryptError::Header(_))));
}

#[test]
fn stanzas_of_others_are_passed_over() {
    let ours = Identity::generate().unwrap();
    let key = [3; FILE_KEY_BYTES];
    let plain = header::write(&[ours.recipient()], &key).unwrap();
    let end = String::from_utf8_lossy(&plain).find("---").unwrap();
    let long = "A".repeat(64);
    let grease = format!("-> what-grease ~ !\n{long}\n\n");
    let mut file = [&plain[..22], grease.as_bytes(), &plain[22..end], b"---"].concat();
    let mac = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &derive(&key, &[], b"header")), &file);
    use base64::Engine;
    file.extend(format!(" {}\n", base64::engine::general_purpose::STANDARD_NO_PAD.encode(mac)).bytes());
    stream::seal(&key, [9; 16], b"value", &mut file);
    assert_eq!(decrypt(&ours, &armor::write(&file)).unwrap(), b"value");
}

#[test]
fn a_recipient_that_hides_nothing_is_refused() {
    let weak = Recipient([0; 32]);
    assert_eq!(encrypt(&[weak], b""), Err(EncryptError::Weak(weak)));
    assert_eq!(encrypt(&[], b""), Err(EncryptError::Recipients(0)));
    assert_eq!(encrypt(&[weak], &vec![0; PLAIN_BYTES_MAX + 1]), Err(EncryptError::TooBig(PLAIN_BYTES_MAX + 1)));
}

#[test]
fn keys_have_one_text() {
    let ours = Identity::generate().unwrap();
    let text = ours.recipient().to_string();
    assert_eq!(text.parse::<Recipient>().unwrap(), ours.recipient());
    for bad in ["", "age1", &text.to_uppercase(), &text[..61], &format!("{text}q"), &text.replacen("age1", "bge1", 1)] {
        assert_eq!(bad.parse::<Recipient>(), Err(BadKey::Recipient), "{bad}");
    }
    let line = ours.to_file().lines().nth(1).unwrap().to_owned();
    for bad in ["", "# nothing", &line.to_lowercase(), &format!("{line}\n{line}"), &line[..70]] {
        assert!(Identity::parse(bad).is_err(), "{bad}");
    }
    assert!(!format!("{ours:?}").contains("SECRET"), "an identity is never shown");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_can_hurt(text in "(-----BEGIN AGE ENCRYPTED FILE-----\n)?[A-Za-z0-9+/=\n]{0,200}(-----END AGE ENCRYPTED FILE-----)?") {
        let ours = Identity::generate().unwrap();
        prop_assert!(decrypt(&ours, &text).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let ours = Identity::generate().unwrap();
        let mut file = file(&encrypt(&[ours.recipient()], b"the value").unwrap());
        let at = at.index(file.len());
        file[at] ^= flip;
        prop_assert!(decrypt(&ours, &armor::write(&file)).is_err(), "byte {at}");
    }
}
