//! A repository in memory, whose commits may be anything at all; keys that sign them; and a hub that serves it honestly.

use abide_fleet::{
    protocol::{Frame, ObjectId, ObjectKind, Refusal, RefusalCode, Target},
    trust::{Hub, HubError, NotTaken, Settings, Taken, Trust, age::Identity, object, state},
};
use abide_reconcile::{Attend, Progress};
use abide_spec::{Name, Scope, kind::Grants};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::{
    digest,
    signature::{Ed25519KeyPair, KeyPair},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    fs,
};

pub(crate) const FLEET: &str = "0f6c0000000000000000000000000001";
pub(crate) const OTHER_FLEET: &str = "0f6c0000000000000000000000000002";

/// Files of a commit: paths with content.
pub(crate) type Files = BTreeMap<String, String>;

/// Who signs, by a letter.
pub(crate) struct Signer(Ed25519KeyPair);

pub(crate) fn signer(letter: u8) -> Signer {
    Signer(Ed25519KeyPair::from_seed_unchecked(&[letter; 32]).unwrap())
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

impl Signer {
    fn public(&self) -> Vec<u8> {
        [string(b"ssh-ed25519"), string(self.0.public_key().as_ref())].concat()
    }

    pub(crate) fn line(&self) -> String {
        format!("ssh-ed25519 {}", BASE64.encode(self.public()))
    }

    /// As `ssh-keygen -Y sign` does.
    pub(crate) fn sign(&self, namespace: &str, payload: &[u8]) -> String {
        let hash = digest::digest(&digest::SHA512, payload);
        let about = [string(namespace.as_bytes()), string(b""), string(b"sha512")].concat();
        let signature = self.0.sign(&[b"SSHSIG".as_slice(), &about, &string(hash.as_ref())].concat());
        let signature = string(&[string(b"ssh-ed25519"), string(signature.as_ref())].concat());
        let blob = [b"SSHSIG".as_slice(), &1_u32.to_be_bytes(), &string(&self.public()), &about, &signature].concat();
        let text = BASE64.encode(blob);
        let lines: Vec<&str> = text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
    }
}

/// What fleet.yaml says.
#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) id: &'static str,
    /// Version, policy, letters of the keys.
    pub(crate) signers: Option<(u64, &'static str, Vec<u8>)>,
    pub(crate) floor: Option<ObjectId>,
    pub(crate) replaces: Vec<ObjectId>,
    pub(crate) paths: &'static str,
}

impl Fleet {
    pub(crate) fn signed_by(version: u64, letters: &[u8]) -> Self {
        let signers = Some((version, "Commit", letters.to_vec()));
        Self { id: FLEET, signers, floor: None, replaces: Vec::new(), paths: "base" }
    }

    pub(crate) fn unsigned() -> Self {
        Self { signers: None, ..Self::signed_by(1, b"a") }
    }

    pub(crate) fn text(&self) -> String {
        let Self { id, signers, floor, replaces, paths } = self;
        let mut text =
            format!("apiVersion: abide.dev/v1alpha1\nkind: Fleet\nmetadata: {{name: shops}}\nspec:\n  id: {id}\n");
        if let Some((version, require, letters)) = signers {
            text += &format!("  signers:\n    version: {version}\n    require: {require}\n    keys:\n");
            for letter in letters {
                text += &format!("      - {}\n", signer(*letter).line());
            }
        }
        if let Some(floor) = floor {
            text += &format!("  floor: \"{floor}\"\n");
        }
        if !replaces.is_empty() {
            let list: Vec<String> = replaces.iter().map(|id| format!("\"{id}\"")).collect();
            text += &format!("  replaces: [{}]\n", list.join(", "));
        }
        text + &format!("  machines:\n    - {{names: [\"*\"], paths: [{paths}]}}\n")
    }
}

pub(crate) fn volume(name: &str) -> String {
    format!("apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {{name: {name}}}\nspec: {{}}\n")
}

/// A commit in the making.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) fleet: Fleet,
    pub(crate) files: Files,
    pub(crate) parents: Vec<ObjectId>,
    pub(crate) by: Option<u8>,
    pub(crate) message: String,
}

impl Draft {
    /// After `parent`, signed by `a`, with one volume.
    pub(crate) fn after(parent: Option<ObjectId>, message: &str) -> Self {
        Self {
            fleet: Fleet::signed_by(1, b"a"),
            files: Files::from([("base/volume.yaml".to_owned(), volume("data"))]),
            parents: parent.into_iter().collect(),
            by: Some(b'a'),
            message: message.to_owned(),
        }
    }

    pub(crate) fn fleet(mut self, fleet: Fleet) -> Self {
        self.fleet = fleet;
        self
    }

    pub(crate) fn by(mut self, by: Option<u8>) -> Self {
        self.by = by;
        self
    }

    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), content.to_owned());
        self
    }
}

/// Everything that exists, and the machine.
pub(crate) struct World {
    pub(crate) objects: BTreeMap<ObjectId, Frame>,
    /// What commits are called in reasons.
    pub(crate) names: BTreeMap<ObjectId, String>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) identity: Identity,
}

impl World {
    pub(crate) fn new() -> Self {
        let (folder, identity) = (tempfile::tempdir().unwrap(), Identity::generate().unwrap());
        Self { objects: BTreeMap::new(), names: BTreeMap::new(), folder, identity }
    }

    pub(crate) fn put(&mut self, kind: ObjectKind, content: impl Into<Vec<u8>>) -> ObjectId {
        let frame = Frame { kind, content: content.into() };
        // What no machine reads has a name all the same.
        let id = object::name(&frame).unwrap_or_else(|_| {
            let id = git2::Oid::hash_object(git2::ObjectType::Blob, &frame.content).unwrap();
            ObjectId(id.as_bytes().try_into().unwrap())
        });
        self.objects.insert(id, frame);
        id
    }

    pub(crate) fn blob(&mut self, content: &str) -> ObjectId {
        self.put(ObjectKind::Blob, content.as_bytes())
    }

    /// A folder of exactly these entries, in this order.
    pub(crate) fn raw_tree(&mut self, entries: &[(&str, &str, ObjectId)]) -> ObjectId {
        let entry =
            |(mode, name, id): &(&str, &str, ObjectId)| [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &id.0].concat();
        self.put(ObjectKind::Tree, entries.iter().flat_map(entry).collect::<Vec<u8>>())
    }

    /// A folder as Git makes it. A content that begins with `->` is a link.
    pub(crate) fn tree(&mut self, files: &Files) -> ObjectId {
        let mut entries: Vec<(String, &str, ObjectId)> = Vec::new();
        let mut folders: BTreeMap<String, Files> = BTreeMap::new();
        for (path, content) in files {
            match path.split_once('/') {
                Some((folder, rest)) => {
                    folders.entry(folder.to_owned()).or_default().insert(rest.to_owned(), content.clone());
                }
                None => match content.strip_prefix("->") {
                    Some(target) => entries.push((path.clone(), "120000", self.blob(target))),
                    None => entries.push((path.clone(), "100644", self.blob(content))),
                },
            }
        }
        for (name, files) in folders {
            let id = self.tree(&files);
            entries.push((name, "40000", id));
        }
        entries.sort_by_key(|(name, mode, _)| if *mode == "40000" { format!("{name}/") } else { name.clone() });
        let entries: Vec<_> = entries.iter().map(|(name, mode, id)| (*mode, name.as_str(), *id)).collect();
        self.raw_tree(&entries)
    }

    #[expect(clippy::needless_pass_by_value, reason = "drafts are made where they are used")]
    pub(crate) fn commit(&mut self, draft: Draft) -> ObjectId {
        let mut files = draft.files.clone();
        files.entry("fleet.yaml".to_owned()).or_insert_with(|| draft.fleet.text());
        let tree = self.tree(&files);
        self.commit_of(tree, &draft)
    }

    /// A commit of exactly that tree.
    pub(crate) fn commit_of(&mut self, tree: ObjectId, draft: &Draft) -> ObjectId {
        let text = draft.by.map(|by| signer(by).sign("git", &payload(tree, draft)));
        self.commit_signed(tree, draft, text.as_deref())
    }

    pub(crate) fn commit_signed(&mut self, tree: ObjectId, draft: &Draft, signature: Option<&str>) -> ObjectId {
        let payload = String::from_utf8(payload(tree, draft)).unwrap();
        let (header, message) = payload.split_once("\n\n").unwrap();
        let signature = signature.map(|text| format!("\ngpgsig {}", text.trim_end().replace('\n', "\n ")));
        let id = self.put(ObjectKind::Commit, format!("{header}{}\n\n{message}", signature.unwrap_or_default()));
        self.names.insert(id, format!("<{:.60}>", draft.message));
        id
    }

    pub(crate) fn tag(&mut self, of: ObjectId, kind: &str, by: Option<u8>) -> ObjectId {
        let payload = format!("object {of}\ntype {kind}\ntag v1\ntagger Anna <a@b> 1700000000 +0000\n\nA release\n");
        let signature = by.map(|by| signer(by).sign("git", payload.as_bytes())).unwrap_or_default();
        let id = self.put(ObjectKind::Tag, payload + &signature);
        self.names.insert(id, "<a tag>".to_owned());
        id
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            directory: self.folder.path().to_owned(),
            scope: Scope::new("fleet").unwrap(),
            grants: Grants::default(),
            name: Name::new("till-1").unwrap(),
            fleet: FLEET.to_owned(),
            identity: self.identity.clone(),
            signers: None,
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::open(self.settings()).unwrap()
    }

    /// What the machine remembers, byte by byte.
    pub(crate) fn remembered(&self) -> String {
        fs::read_to_string(self.folder.path().join("link.json")).unwrap_or_default()
    }

    /// Takes a commit from an honest hub.
    pub(crate) fn take(&self, commit: ObjectId) -> Result<Taken, NotTaken> {
        self.trust().take(&target(commit), &Honest::of(self), &Patient)
    }

    /// A text with what commits are called instead of their ids.
    pub(crate) fn told(&self, text: &str) -> String {
        let named = self.names.iter().fold(text.to_owned(), |text, (id, name)| text.replace(&id.to_string(), name));
        let word = |word: &str| {
            let bare: String = word.chars().filter(char::is_ascii_hexdigit).collect();
            if bare.len() == 40 { word.replace(&bare, "<id>") } else { word.to_owned() }
        };
        named.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }
}

fn payload(tree: ObjectId, draft: &Draft) -> Vec<u8> {
    let who = "Anna <a@b> 1700000000 +0000";
    let parents: String = draft.parents.iter().map(|parent| format!("parent {parent}\n")).collect();
    format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\n{}\n", draft.message).into_bytes()
}

pub(crate) fn target(commit: ObjectId) -> Target {
    Target { number: 1, commit, tag: None, rotations: Vec::new(), spread: 4 }
}

/// Who waits as long as it takes.
pub(crate) struct Patient;

impl Attend for Patient {
    fn progress(&self, _: Progress) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Serves what there is, and counts what it was asked for.
pub(crate) struct Honest<'a> {
    pub(crate) world: &'a World,
    pub(crate) asked: RefCell<Vec<ObjectId>>,
    /// Objects that one answer has at most.
    pub(crate) at_once: usize,
}

impl<'a> Honest<'a> {
    pub(crate) fn of(world: &'a World) -> Self {
        Self { world, asked: RefCell::default(), at_once: 3 }
    }
}

pub(crate) fn parents(frame: &Frame) -> Vec<ObjectId> {
    object::Commit::parse(&frame.content).map(|commit| commit.parents).unwrap_or_default()
}

/// The shortest way from `to` to a child of `from`.
pub(crate) fn way(world: &World, from: ObjectId, to: ObjectId) -> Option<Vec<ObjectId>> {
    let mut ways = VecDeque::from([vec![to]]);
    while let Some(way) = ways.pop_front() {
        let parents = parents(world.objects.get(way.last()?)?);
        if parents.contains(&from) {
            return Some(way);
        }
        ways.extend(parents.iter().map(|parent| [way.as_slice(), &[*parent]].concat()));
    }
    None
}

pub(crate) fn no_way() -> HubError {
    HubError::Refused(Refusal { code: RefusalCode::NoDescendant, message: "no".to_owned() })
}

impl Hub for Honest<'_> {
    fn chain(&self, from: ObjectId, to: ObjectId) -> Result<Vec<Frame>, HubError> {
        let way = way(self.world, from, to).ok_or_else(no_way)?;
        Ok(way.iter().take(self.at_once).map(|id| self.world.objects[id].clone()).collect())
    }

    fn objects(&self, want: &[ObjectId]) -> Result<Vec<Frame>, HubError> {
        self.asked.borrow_mut().extend(want);
        Ok(want.iter().filter_map(|id| self.world.objects.get(id)).take(self.at_once).cloned().collect())
    }
}

/// The state of a machine whose owner named who must sign first.
pub(crate) fn owner_says(version: u64, letters: &[u8]) -> state::Signers {
    let keys = letters.iter().map(|letter| signer(*letter).line()).collect();
    state::Signers { version, require: state::Require::Commit, keys }
}
