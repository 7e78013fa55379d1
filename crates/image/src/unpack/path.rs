//! What the name of an entry means.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

/// Longer paths can't be opened in one go, and no honest image has them.
const PATH_BYTES_MAX: usize = 4095;
const NAME_BYTES_MAX: usize = 255;

/// The name of an entry, by the rules of layers (OCI image spec, *layer.md*, "Whiteouts").
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The root itself.
    Root,
    /// Something in a directory.
    Plain { parent: Vec<OsString>, name: OsString },
    /// The name in that directory is to be hidden.
    Whiteout { parent: Vec<OsString>, name: OsString },
    /// All that layers below have in that directory is to be hidden.
    Opaque { parent: Vec<OsString> },
    /// What AUFS left behind (`.wh..wh.plnk` and the like).
    Ignored,
}

impl Name {
    pub(super) fn parse(path: &[u8]) -> Result<Self, &'static str> {
        if path.len() > PATH_BYTES_MAX {
            return Err("it is longer than a path can be");
        }
        let mut parts = Vec::new();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err("it has `..` in its path"),
                part if part.len() > NAME_BYTES_MAX => return Err("it has a name that is too long in its path"),
                part => parts.push(OsStr::from_bytes(part).to_owned()),
            }
        }
        let Some(name) = parts.pop() else { return Ok(Self::Root) };
        let is_aufs = |name: &OsString| name.as_bytes().starts_with(b".wh..wh.") && name != ".wh..wh..opq";
        if is_aufs(&name) || parts.iter().any(is_aufs) {
            return Ok(Self::Ignored);
        }
        if parts.iter().any(|part| part.as_bytes().starts_with(b".wh.")) {
            return Err("it is in what is hidden");
        }
        match name.as_bytes().strip_prefix(b".wh.") {
            None => Ok(Self::Plain { parent: parts, name }),
            Some(b".wh..opq") => Ok(Self::Opaque { parent: parts }),
            Some(b"" | b"." | b"..") => Err("it hides what is no name"),
            Some(hidden) => Ok(Self::Whiteout { parent: parts, name: OsStr::from_bytes(hidden).to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(parent: &[&str], name: &str) -> Name {
        Name::Plain { parent: parent.iter().map(OsString::from).collect(), name: name.into() }
    }

    #[test]
    fn every_path_begins_at_the_root() {
        for root in ["", ".", "/", "./", "//.//"] {
            assert_eq!(Name::parse(root.as_bytes()), Ok(Name::Root), "{root:?}");
        }
        for path in ["etc/passwd", "./etc/passwd", "/etc//passwd", "etc/./passwd/"] {
            assert_eq!(Name::parse(path.as_bytes()), Ok(plain(&["etc"], "passwd")), "{path:?}");
        }
        for path in ["..", "../x", "a/..", "a/../b", "/../x", "a/../../b"] {
            assert!(Name::parse(path.as_bytes()).is_err(), "{path:?}");
        }
        assert!(Name::parse("a/".repeat(3000).as_bytes()).is_err());
        assert!(Name::parse("a".repeat(256).as_bytes()).is_err());
        assert_eq!(Name::parse(b"...").unwrap(), plain(&[], "..."));
    }

    #[test]
    fn whiteouts_hide_one_name_in_one_directory() {
        let parent = vec![OsString::from("etc")];
        let hidden = Name::Whiteout { parent: parent.clone(), name: "passwd".into() };
        assert_eq!(Name::parse(b"etc/.wh.passwd"), Ok(hidden));
        assert_eq!(Name::parse(b"etc/.wh..wh..opq"), Ok(Name::Opaque { parent }));
        assert_eq!(Name::parse(b".wh..wh..opq"), Ok(Name::Opaque { parent: vec![] }));
        assert_eq!(Name::parse(b".wh.....").unwrap(), Name::Whiteout { parent: vec![], name: "....".into() });
        for path in [".wh..wh.aufs", ".wh..wh.plnk/1.2", "a/.wh..wh.orph"] {
            assert_eq!(Name::parse(path.as_bytes()), Ok(Name::Ignored), "{path:?}");
        }
        for path in [".wh.", ".wh..", ".wh...", "a/.wh..", ".wh.a/b", ".wh..wh..opq/a"] {
            assert!(Name::parse(path.as_bytes()).is_err(), "{path:?}");
        }
    }
}
