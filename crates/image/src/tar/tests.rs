use super::*;
use proptest::prelude::*;

fn entries(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut archive = Archive::new(bytes);
    let mut found = Vec::new();
    while let Some(entry) = archive.next()? {
        let mut data = Vec::new();
        archive.read_to_end(&mut data)?;
        found.push((entry, data));
    }
    Ok(found)
}

fn header(name: &str, kind: u8, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header
}

#[test]
fn long_names_of_both_kinds() {
    let long = format!("{}/file", "directory".repeat(30));
    let mut gnu = tar::Builder::new(Vec::new());
    let mut file = tar::Header::new_gnu();
    file.set_size(3);
    file.set_mode(0o600);
    gnu.append_data(&mut file, &long, &b"abc"[..]).unwrap();
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    gnu.append_link(&mut link, "link", &long).unwrap();
    let found = entries(&gnu.into_inner().unwrap()).unwrap();
    assert_eq!((found[0].0.path.as_slice(), found[0].1.as_slice()), (long.as_bytes(), &b"abc"[..]));
    assert_eq!((found[1].0.kind, found[1].0.target.as_slice()), (Kind::Symlink, long.as_bytes()));

    let mut pax = tar::Builder::new(Vec::new());
    pax.append_pax_extensions([("path", long.as_bytes()), ("uid", b"3000000"), ("mtime", b"5.5")]).unwrap();
    pax.append(&header("short", b'0', 2), &b"hi"[..]).unwrap();
    pax.append(&header("next", b'0', 0), &b""[..]).unwrap();
    let found = entries(&pax.into_inner().unwrap()).unwrap();
    assert_eq!((found[0].0.path.as_slice(), found[0].0.uid), (long.as_bytes(), 3_000_000));
    assert_eq!(found[0].0.modified, (5, 500_000_000));
    assert_eq!((found[1].0.path.as_slice(), found[1].0.uid), (&b"next"[..], 0));
}

#[test]
fn a_size_in_a_record_wins_over_the_header() {
    // The header claims no data, so that a reader that believes it takes the data for headers.
    let inner = header("smuggled", b'0', 0);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("size", &b"512"[..])]).unwrap();
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend_from_slice(header("outer", b'0', 0).as_bytes());
    bytes.extend_from_slice(inner.as_bytes());
    let found = entries(&bytes).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, inner.as_bytes());
}

#[test]
fn what_is_malformed_is_never_skipped() {
    let good = |name| header(name, b'0', 0).as_bytes().to_vec();
    let mut bad_sum = good("a");
    bad_sum[0] = b'b';
    let mut bad_number = header("a", b'0', 0);
    bad_number.as_old_mut().size[0] = b'9';
    bad_number.set_cksum();
    let huge = header("x", b'x', 2 << 20).as_bytes().to_vec();
    let unknown = header("v", b'V', 0).as_bytes().to_vec();
    let after_zeros = [good("a"), vec![0; 512], good("b")].concat();
    let cut = [header("a", b'0', 100).as_bytes().to_vec(), vec![1; 50]].concat();
    let cut_header = good("a")[..300].to_vec();
    for bytes in [bad_sum, bad_number.as_bytes().to_vec(), huge, unknown, after_zeros, cut, cut_header] {
        assert!(entries(&bytes).is_err());
    }
    assert_eq!(entries(&good("a")).unwrap().len(), 1);
    assert_eq!(entries(b"").unwrap().len(), 0);
}

proptest! {
    #[test]
    fn any_bytes_end_in_entries_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..4096), flips in any::<[u16; 4]>()) {
        let _ = entries(&bytes);
        let mut whole = [header("a", b'0', 3).as_bytes().to_vec(), b"abc".to_vec(), vec![0; 509]].concat();
        whole.append(&mut bytes);
        for flip in flips {
            let at = usize::from(flip) % whole.len();
            whole[at] ^= 1 << (flip >> 13);
        }
        let _ = entries(&whole);
    }
}
