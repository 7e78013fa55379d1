//! The messages of `git-upload-pack`: protocol version 2 (gitprotocol-v2(5)), and version 0 (gitprotocol-pack(5)) for
//! servers that know no other. Only what is needed to get one commit, with or without its history.

use crate::{
    cache::History,
    packet::{self, Packet, line, printable},
    remote::{RemoteError, data},
};
use git2::Oid;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

/// What a server says of itself on first contact.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Advertisement {
    /// It speaks version 2, and is asked for what is needed.
    V2,
    /// It speaks version 0, and tells everything at once.
    V0 {
        /// Every reference.
        refs: BTreeMap<String, Oid>,
        /// What it can do.
        capabilities: Vec<String>,
    },
}

/// Reads the answer to `GET info/refs`.
pub(crate) fn read_advertisement(from: &mut dyn Read) -> Result<Advertisement, RemoteError> {
    let mut first = data(from)?;
    // Some servers of version 2 leave this line out, as the protocol lets them.
    if first.starts_with(b"# service=git-upload-pack") {
        first = data(from)?;
    }
    if first.trim_ascii_end() == b"version 2" {
        while let Packet::Data(line) = packet::read(from)? {
            if let Some(format) = line.trim_ascii_end().strip_prefix(b"object-format=") {
                check_format(format)?;
            }
        }
        return Ok(Advertisement::V2);
    }
    let mut refs = BTreeMap::new();
    let mut capabilities = Vec::new();
    let mut packet = Packet::Data(first);
    while let Packet::Data(line) = packet {
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        let (text, words) = text.split_once('\0').unwrap_or((&text, ""));
        capabilities.extend(words.split(' ').map(str::to_owned));
        for format in words.split(' ').filter_map(|word| word.strip_prefix("object-format=")) {
            check_format(format.as_bytes())?;
        }
        let (id, name) = text.split_once(' ').ok_or_else(|| RemoteError::Protocol(printable(&line)))?;
        refs.insert(name.to_owned(), parse_id(id)?);
        packet = packet::read(from)?;
    }
    Ok(Advertisement::V0 { refs, capabilities })
}

fn check_format(format: &[u8]) -> Result<(), RemoteError> {
    match format {
        b"sha1" => Ok(()),
        b"sha256" => Err(RemoteError::Sha256),
        other => Err(RemoteError::Protocol(format!("object format {}", printable(other)))),
    }
}

fn parse_id(text: &str) -> Result<Oid, RemoteError> {
    match text.len() {
        40 => Oid::from_str(text).map_err(|_| RemoteError::Protocol(printable(text.as_bytes()))),
        64 => Err(RemoteError::Sha256),
        _ => Err(RemoteError::Protocol(printable(text.as_bytes()))),
    }
}

/// Where references point.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Refs {
    /// The one that was asked for.
    pub(crate) tip: Option<Oid>,
    /// Tags that are objects, and what they are of.
    pub(crate) tags: Vec<(Oid, Oid)>,
}

const TAGS: &str = "refs/tags/";

/// Asks where the reference `name` points, and the tags besides where all of a repository is wanted.
pub(crate) fn ls_refs(name: &str, history: History) -> String {
    let head = line("command=ls-refs") + &line("object-format=sha1") + "0001";
    let tags = match history {
        History::None => String::new(),
        History::Whole => line("peel") + &line(&format!("ref-prefix {TAGS}")),
    };
    head + &tags + &line(&format!("ref-prefix {name}")) + "0000"
}

/// The same of what a server of version 0 told.
pub(crate) fn refs_of(told: &BTreeMap<String, Oid>, name: &str, history: History) -> Refs {
    let peeled = |name: &str| told.get(&format!("{name}^{{}}")).copied();
    let tags = told.range(TAGS.to_owned()..).take_while(|(name, _)| name.starts_with(TAGS));
    let tags = tags.filter(|_| history == History::Whole).filter_map(|(name, id)| Some((*id, peeled(name)?)));
    Refs { tip: told.get(name).copied(), tags: tags.collect() }
}

/// Reads the answer to [`ls_refs`].
pub(crate) fn read_refs(from: &mut dyn Read, name: &str) -> Result<Refs, RemoteError> {
    let mut refs = Refs::default();
    loop {
        match packet::read(from)? {
            Packet::Data(line) => {
                let text = String::from_utf8_lossy(line.trim_ascii_end());
                let (id, rest) = text.split_once(' ').ok_or_else(|| RemoteError::Protocol(printable(&line)))?;
                let mut words = rest.split(' ');
                let found = words.next().unwrap_or_default();
                // What was asked for is a prefix: `main2` is answered as well.
                if found == name {
                    refs.tip = Some(parse_id(id)?);
                }
                let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
                if let Some(of) = peeled.filter(|_| found.starts_with(TAGS)) {
                    refs.tags.push((parse_id(id)?, parse_id(of)?));
                }
            }
            Packet::Flush | Packet::End => return Ok(refs),
            Packet::Delimiter => {}
        }
    }
}

/// Asks for commits or tags. `have` must be complete but for its own history, if none is wanted: it is declared shallow then, or
/// the server would count on the objects of its ancestors.
pub(crate) fn fetch_v2(wants: &[Oid], have: Option<Oid>, history: History) -> String {
    let mut request = line("command=fetch") + &line("object-format=sha1") + "0001";
    request += &(line("ofs-delta") + &line("no-progress"));
    if history == History::None {
        request += &line("deepen 1");
    }
    if let Some(have) = have {
        request += &line("thin-pack");
        if history == History::None {
            request += &line(&format!("shallow {have}"));
        }
        request += &line(&format!("have {have}"));
    }
    request.extend(wants.iter().map(|want| line(&format!("want {want}"))));
    request + &line("done") + "0000"
}

/// [`fetch_v2`], as version 0 has it.
pub(crate) fn fetch_v0(wants: &[Oid], have: Option<Oid>, history: History) -> String {
    let thin = if have.is_some() { " thin-pack" } else { "" };
    let shallow = if history == History::None { " shallow" } else { "" };
    let mut able = format!(" side-band-64k ofs-delta no-progress{shallow}{thin}");
    let mut request = String::new();
    for want in wants {
        request += &line(&format!("want {want}{}", std::mem::take(&mut able)));
    }
    if history == History::None {
        if let Some(have) = have {
            request += &line(&format!("shallow {have}"));
        }
        request += &line("deepen 1");
    }
    request += "0000";
    if let Some(have) = have {
        request += &line(&format!("have {have}"));
    }
    request + &line("done")
}

/// Reads the answer to a fetch of either version: sections or acknowledgements, then the pack in side band 1.
pub(crate) fn read_pack(from: &mut dyn Read, pack: &mut dyn Write, bytes_max: u64) -> Result<(), RemoteError> {
    loop {
        match packet::read(from)? {
            Packet::Data(line) if line == b"packfile\n" || line == b"NAK\n" || line.starts_with(b"ACK ") => break,
            Packet::Data(line) if is_preamble(&line) => {}
            Packet::Data(line) => return Err(RemoteError::Protocol(printable(&line))),
            Packet::Flush | Packet::Delimiter => {}
            Packet::End => return Err(RemoteError::Protocol("an answer without a pack".to_owned())),
        }
    }
    let mut bytes = 0;
    loop {
        match packet::read(from)? {
            Packet::Data(band) => match band.split_first() {
                Some((1, part)) => {
                    bytes += part.len() as u64;
                    if bytes > bytes_max {
                        return Err(RemoteError::TooLarge(bytes_max));
                    }
                    pack.write_all(part).map_err(RemoteError::Store)?;
                }
                Some((2, _progress)) => {}
                Some((3, text)) => return Err(packet::PacketError::Remote(printable(text)).into()),
                _ => return Err(RemoteError::Protocol("a packet in no side band".to_owned())),
            },
            Packet::Flush => return Ok(()),
            Packet::Delimiter | Packet::End => {
                return Err(RemoteError::Protocol("an end in the middle of a pack".to_owned()));
            }
        }
    }
}

fn is_preamble(line: &[u8]) -> bool {
    [&b"shallow-info\n"[..], b"shallow ", b"unshallow "].iter().any(|known| line.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "1111111111111111111111111111111111111111";

    fn packets(lines: &[&str]) -> Vec<u8> {
        lines.iter().flat_map(|text| format!("{:04x}{text}", text.len() + 4).into_bytes()).chain(*b"0000").collect()
    }

    #[test]
    fn a_name_is_compared_whole() {
        let answer = packets(&[&format!("{A} refs/heads/main2\n")]);
        let read = |bytes: &[u8], name| read_refs(&mut &bytes[..], name).map(|refs| refs.tip);
        assert_eq!(read(&answer, "refs/heads/main").unwrap(), None);
        assert_eq!(read(&answer, "refs/heads/main2").unwrap().unwrap().to_string(), A);
        assert!(read(&answer[..answer.len() - 2], "refs/heads/main").is_err(), "cut: not absent");
    }

    #[test]
    fn tags_that_are_objects_are_told_with_what_they_are_of() {
        let (a, b) = (Oid::from_str(A).unwrap(), Oid::from_str(&"2".repeat(40)).unwrap());
        let lines = [
            format!("{a} refs/heads/main\n"),
            format!("{b} refs/tags/v1 peeled:{a}\n"),
            format!("{a} refs/tags/light\n"),
        ];
        let answer = packets(&lines.each_ref().map(String::as_str));
        let refs = Refs { tip: Some(a), tags: vec![(b, a)] };
        assert_eq!(read_refs(&mut &answer[..], "refs/heads/main").unwrap(), refs);
        let told = [("refs/heads/main", a), ("refs/tags/light", a), ("refs/tags/v1", b), ("refs/tags/v1^{}", a)];
        let told = told.into_iter().map(|(name, id)| (name.to_owned(), id)).collect();
        assert_eq!(refs_of(&told, "refs/heads/main", History::Whole), refs);
        assert_eq!(refs_of(&told, "refs/heads/main", History::None).tags, []);
    }

    #[test]
    fn sha256_is_named() {
        let v2 = [&packets(&["# service=git-upload-pack\n"])[..], &packets(&["version 2\n", "object-format=sha256\n"])];
        assert!(matches!(read_advertisement(&mut &v2.concat()[..]), Err(RemoteError::Sha256)));
        let v0 = packets(&[&format!("{A}{} HEAD\0object-format=sha256\n", &A[..24])]);
        assert!(matches!(read_advertisement(&mut &v0[..]), Err(RemoteError::Sha256)));
    }

    proptest! {
        #[test]
        fn no_answer_panics(lines in proptest::collection::vec("(\\PC|\0| ){0,60}", 0..6)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let bytes = packets(&lines);
            let _ = read_advertisement(&mut &bytes[..]);
            let _ = read_refs(&mut &bytes[..], "refs/heads/main");
            let _ = read_pack(&mut &bytes[..], &mut Vec::new(), 100);
        }
    }
}
