//! Who runs in a container: `USER[:GROUP]` as the image and the spec say it, looked up in the image's own files.
//!
//! The files are hostile: they are opened within the image's root, must be regular and small, and lines that make no sense
//! are passed over, as the C library does.

use abide_host::fs::{self, Dir, Resolve};

/// A larger file of users or groups is refused.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Larger numbers wrap to negative ones, and to root, in some programs.
const ID_MAX: u32 = i32::MAX as u32;
/// The kernel takes no more supplementary groups (NGROUPS_MAX).
const GROUPS_MAX: usize = 65_536;

/// The rights of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// With the primary one.
    pub(crate) groups: Vec<u32>,
    /// `/` where nobody says otherwise.
    pub(crate) home: String,
}

/// Why nobody could be found who is to run in the container.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    /// The text can't mean anybody.
    #[error("{0:?} is no user: write NAME, NUMBER or either with :GROUP, and numbers up to 2147483647")]
    Bad(String),
    /// There is nobody of that name.
    #[error("the image has no {what} {name:?} in {file}: write a number, or one that is there")]
    Unknown {
        /// "user" or "group".
        what: &'static str,
        /// As written.
        name: String,
        /// Where it was looked for.
        file: &'static str,
    },
    /// The image's file can't be used.
    #[error("cannot look up who runs in the container")]
    File(#[source] fs::Error),
}

struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

struct Group {
    name: String,
    gid: u32,
    members: String,
}

/// Who `text` means in an image. Empty is root.
pub(crate) fn resolve(text: &str, root: &Dir) -> Result<Credentials, UserError> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    if group == Some("") || (user.is_empty() && group.is_some()) {
        return Err(UserError::Bad(text.to_owned()));
    }
    let user = if user.is_empty() { "0" } else { user };
    let users = read(root, "etc/passwd")?;
    let groups: Vec<Group> = read(root, "etc/group")?.lines().filter_map(parse_group).collect();
    let number = number(user, text)?;
    let known = users.lines().filter_map(parse_user).find(|known| match number {
        Some(uid) => known.uid == uid,
        None => known.name == user,
    });
    let uid = known.as_ref().map(|known| known.uid).or(number);
    let uid = uid.ok_or_else(|| UserError::Unknown { what: "user", name: user.to_owned(), file: "/etc/passwd" })?;
    let gid = match group {
        Some(group) => find_group(group, text, &groups)?,
        None => known.as_ref().map_or(0, |known| known.gid),
    };
    let mut all = vec![gid];
    if let (None, Some(known)) = (group, &known) {
        // Only who doesn't choose a group gets those that list them.
        let lists = |group: &&Group| group.members.split(',').any(|member| member == known.name);
        all.extend(groups.iter().filter(lists).map(|group| group.gid).filter(|other| *other != gid));
        all.truncate(GROUPS_MAX);
    }
    let home = known.map(|known| known.home).filter(|home| home.starts_with('/'));
    Ok(Credentials { uid, gid, groups: all, home: home.unwrap_or_else(|| "/".to_owned()) })
}

fn find_group(group: &str, text: &str, groups: &[Group]) -> Result<u32, UserError> {
    if let Some(gid) = number(group, text)? {
        return Ok(gid);
    }
    let known = groups.iter().find(|known| known.name == group);
    let unknown = || UserError::Unknown { what: "group", name: group.to_owned(), file: "/etc/group" };
    known.map(|known| known.gid).ok_or_else(unknown)
}

/// The number that a text is, if it is one. What looks like a number and isn't a good one is never taken for a name.
fn number(word: &str, text: &str) -> Result<Option<u32>, UserError> {
    if !word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b'+') {
        return Ok(None);
    }
    let bad = || UserError::Bad(text.to_owned());
    if !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    word.parse().ok().filter(|id| *id <= ID_MAX).map(Some).ok_or_else(bad)
}

/// A file of the image; empty if there is none.
fn read(root: &Dir, path: &str) -> Result<String, UserError> {
    match root.read(path, Resolve::InRoot, FILE_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.is_missing() => Ok(String::new()),
        Err(error) => Err(UserError::File(error)),
    }
}

/// A line of passwd(5): name, password, uid, gid, comment, home, shell.
fn parse_user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let (uid, gid) = (id(fields.nth(1)?)?, id(fields.next()?)?);
    let home = fields.nth(1).unwrap_or_default().to_owned();
    Some(User { name, uid, gid, home })
}

/// A line of group(5): name, password, gid, members.
fn parse_group(line: &str) -> Option<Group> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let gid = id(fields.nth(1)?)?;
    Some(Group { name, gid, members: fields.next().unwrap_or_default().trim_end().to_owned() })
}

fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id <= ID_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_host::fs::Sync;
    use std::os::unix::fs::symlink;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nhuge:x:4294967295:0::/:\nweb:x:33:33:www:/var/www:/bin/false\n\
                         relative:x:34:34::home:\nwrap:x:4294967296:0::/:";
    const GROUPS: &str = "root:x:0:\nwww:x:33:\nadm:x:4:web,other\nlog:x:44:other,web\nnone:x:oops:web\n";

    fn image() -> (tempfile::TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let root = Dir::open(folder.path()).unwrap();
        let etc = root.make_dirs("etc", 0o755).unwrap();
        etc.write("passwd", USERS.as_bytes(), 0o644, Sync::ThisBoot).unwrap();
        etc.write("group", GROUPS.as_bytes(), 0o644, Sync::ThisBoot).unwrap();
        (folder, root)
    }

    #[test]
    fn users_and_groups_are_found() {
        let (_folder, root) = image();
        let cases = [
            ("", 0, 0, &[0][..], "/root"),
            ("web", 33, 33, &[33, 4, 44], "/var/www"),
            ("33", 33, 33, &[33, 4, 44], "/var/www"),
            ("web:adm", 33, 4, &[4], "/var/www"),
            ("web:1000", 33, 1000, &[1000], "/var/www"),
            ("1234", 1234, 0, &[0], "/"),
            ("1234:5678", 1234, 5678, &[5678], "/"),
            ("2147483647", 2_147_483_647, 0, &[0], "/"),
            ("relative", 34, 34, &[34], "/"),
        ];
        for (text, uid, gid, groups, home) in cases {
            let expected = Credentials { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
            assert_eq!(resolve(text, &root).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_means_nobody_is_refused() {
        let (_folder, root) = image();
        for text in ["2147483648", "4294967296", "99999999999999999999", "-1", "+0", "web:", ":web", "web:-1"] {
            assert!(matches!(resolve(text, &root), Err(UserError::Bad(_))), "{text}");
        }
        for text in ["nobody", "huge", "wrap", "web:nobody", "0x0"] {
            assert!(matches!(resolve(text, &root), Err(UserError::Unknown { .. })), "{text}");
        }
    }

    #[test]
    fn hostile_files_are_not_read() {
        let (folder, root) = image();
        let passwd = folder.path().join("etc/passwd");
        std::fs::remove_file(&passwd).unwrap();
        symlink("/../../../../../etc/passwd", &passwd).unwrap();
        assert!(matches!(resolve("web", &root), Err(UserError::File(_))), "a link to itself");

        std::fs::remove_file(&passwd).unwrap();
        assert_eq!(resolve("7", &root).unwrap().uid, 7);

        std::fs::File::create(&passwd).unwrap().set_len(1 << 30).unwrap();
        assert!(matches!(resolve("web", &root), Err(UserError::File(_))), "a gigabyte");

        std::fs::remove_file(&passwd).unwrap();
        let status = std::process::Command::new("mkfifo").arg(&passwd).status().unwrap();
        assert!(status.success() && matches!(resolve("web", &root), Err(UserError::File(_))), "a FIFO");
    }
}
