use super::{BadObject, Headers, id, printable};
use crate::protocol::ObjectId;

/// Parents of a commit.
const PARENTS_MAX: usize = 256;

/// A commit, as far as a machine has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its root folder.
    pub tree: ObjectId,
    /// What it follows.
    pub parents: Vec<ObjectId>,
    /// When it was committed: seconds since 1970, by the committer's clock.
    pub committed_at: i64,
    /// The first line of its message, fit for a terminal.
    pub summary: String,
    /// What is signed, and the signature, if there is one.
    pub signed: Option<(Vec<u8>, String)>,
}

impl Commit {
    /// Reads one.
    pub fn parse(content: &[u8]) -> Result<Self, BadObject> {
        let bad = BadObject::Commit;
        if content.contains(&0) {
            return Err(bad("it has a NUL"));
        }
        let (fields, message) = Headers::read(content).ok_or(bad("its header has no form"))?;
        let mut fields = fields.into_iter().peekable();
        let tree = fields.next_if(|field| field.word == b"tree").and_then(|field| id(field.value));
        let tree = tree.ok_or(bad("it doesn't begin with its tree"))?;
        let mut parents = Vec::new();
        while let Some(field) = fields.next_if(|field| field.word == b"parent") {
            parents.push(id(field.value).ok_or(bad("a parent that is no id"))?);
        }
        if parents.len() > PARENTS_MAX {
            return Err(bad("it has more than 256 parents"));
        }
        fields.next_if(|field| field.word == b"author").ok_or(bad("it has no author in its place"))?;
        let committer = fields.next_if(|field| field.word == b"committer");
        let committer = committer.ok_or(bad("it has no committer in its place"))?;
        let committed_at = time(committer.value).ok_or(bad("its committer has no time"))?;
        let mut signature = None;
        for field in fields {
            match field.word {
                b"tree" | b"parent" | b"author" | b"committer" => return Err(bad("a field that is there twice")),
                b"gpgsig" if signature.is_none() => signature = Some(field),
                // Git leaves all of these out of what is signed; with one of them there is no doubt what is.
                word if word.starts_with(b"gpgsig") => return Err(bad("it has more than one signature")),
                _ => {}
            }
        }
        let signed = signature.map(|field| {
            let payload = [&content[..field.place.start], &content[field.place.end..]].concat();
            (payload, String::from_utf8_lossy(field.value).replace("\n ", "\n"))
        });
        let summary = printable(message.split(|byte| *byte == b'\n').next().unwrap_or_default());
        Ok(Self { tree, parents, committed_at, summary, signed })
    }
}

/// The time of `Name <mail> SECONDS ZONE`.
fn time(value: &[u8]) -> Option<i64> {
    let after = value.iter().rposition(|byte| *byte == b'>')? + 1;
    let mut words = std::str::from_utf8(&value[after..]).ok()?.split_ascii_whitespace();
    let seconds = words.next()?.parse().ok()?;
    words.next()?;
    words.next().is_none().then_some(seconds)
}
