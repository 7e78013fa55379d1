use super::{BadObject, Headers, id};
use crate::protocol::ObjectId;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";

/// A tag with a message, as far as a machine has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The commit that it is of.
    pub commit: ObjectId,
    /// What is signed, and the signature, if there is one.
    pub signed: Option<(Vec<u8>, String)>,
}

impl Tag {
    /// Reads one. A tag of something else than a commit is none here.
    pub fn parse(content: &[u8]) -> Result<Self, BadObject> {
        let bad = BadObject::Tag;
        if content.contains(&0) {
            return Err(bad("it has a NUL"));
        }
        let (fields, message) = Headers::read(content).ok_or(bad("its header has no form"))?;
        let mut fields = fields.iter();
        let mut next = |word: &[u8]| fields.next().filter(|field| field.word == word).map(|field| field.value);
        let commit = next(b"object").and_then(id).ok_or(bad("it doesn't begin with what it is of"))?;
        if next(b"type") != Some(b"commit") {
            return Err(bad("it is not of a commit"));
        }
        next(b"tag").ok_or(bad("it has no name in its place"))?;
        next(b"tagger").ok_or(bad("it has no tagger in its place"))?;
        if fields.next().is_some() {
            return Err(bad("it has a field that tags don't have"));
        }
        let signed = signature(message).map(|at| {
            let at = content.len() - message.len() + at;
            (content[..at].to_vec(), String::from_utf8_lossy(&content[at..]).into_owned())
        });
        Ok(Self { commit, signed })
    }
}

/// Where the signature begins, at a line's begin: it is the last thing in a tag.
fn signature(message: &[u8]) -> Option<usize> {
    let begins = |at: &usize| message[*at..].starts_with(BEGIN.as_bytes()) && (*at == 0 || message[at - 1] == b'\n');
    (0..message.len()).rev().find(begins)
}
