//! What is looked up in an image before anything of it runs: who its user is, whether mounts have a place there, and whether
//! there is something to be executed.
//!
//! The layers are seen as the container will see them, through a mount that nobody else sees and that is gone when the look
//! is over. Who runs is remembered: an image never changes.

use crate::user::{self, Credentials, UserError};
use abide_host::{
    fs::{self, Dir, Resolve},
    keeper::Program,
    overlay,
};
use abide_image::Image;
use abide_reconcile::{
    Digest,
    spec::kind::{ContainerSpec, MountSource},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Where file systems of the kernel go: in the keeper's words, only where the image has no link in the way.
const OF_KERNEL: [&str; 3] = ["dev", "proc", "sys"];

/// Why image and spec don't go together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    /// The image can't be looked into.
    #[error("cannot look into the image")]
    View(#[from] overlay::Error),
    /// Nobody to run it as.
    #[error(transparent)]
    User(#[from] UserError),
    /// A path of the image leads nowhere.
    #[error("nothing can be mounted on {path} of the image")]
    Target {
        /// As the spec has it.
        path: String,
        /// What the kernel said.
        source: fs::Error,
    },
    /// Something else is there.
    #[error("a {wanted} can't be mounted on {path}: the image has no {wanted} there; choose another mountPath")]
    Sort {
        /// As the spec has it.
        path: String,
        /// "folder" or "file".
        wanted: &'static str,
    },
    /// A link, say, in place of a folder that is the kernel's.
    #[error("the image is broken: its /{path} is no folder")]
    Kernels {
        /// Which.
        path: &'static str,
        /// What the kernel said.
        source: fs::Error,
    },
    /// Nothing to be executed.
    #[error("the image has no program {name:?}: write in `command` what it has{}", in_path(.name))]
    Program {
        /// As the spec or the image has it.
        name: String,
    },
    /// Something of the host that is to be mounted.
    #[error("the host's {path} can't be mounted; it has to be there, without symbolic links on the way")]
    HostPath {
        /// As the spec has it.
        path: String,
        /// What the kernel said.
        source: fs::Error,
    },
}

impl LookupError {
    /// Whether it may be otherwise another time, though image and spec stay the same.
    pub(crate) fn can_retry(&self) -> bool {
        matches!(self, Self::View(_) | Self::HostPath { .. })
    }
}

/// Looks into images.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// An empty folder to look at them through.
    at: PathBuf,
    known: Mutex<BTreeMap<(Digest, String), Credentials>>,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Folder,
    Other,
    Nothing,
}

impl Lookup {
    pub(crate) fn new(at: PathBuf) -> Self {
        Self { at, known: Mutex::default() }
    }

    /// Who `user` is in an image.
    pub(crate) fn credentials(&self, image: &Image, user: &str) -> Result<Credentials, LookupError> {
        let key = (image.digest, user.to_owned());
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(credentials) = known().get(&key) {
            return Ok(credentials.clone());
        }
        let found = user::resolve(user, &self.view(image)?)?;
        known().insert(key, found.clone());
        Ok(found)
    }

    /// Checks that what the spec mounts is there, if it is the host's, and has a place in the image; and that the image
    /// has the program.
    pub(crate) fn check(&self, image: &Image, spec: &ContainerSpec, program: &Program) -> Result<(), LookupError> {
        let view = self.view(image)?;
        check_mounts(&view, spec)?;
        // It may come with data.
        let has_data = spec.volumes.iter().any(|mount| mount.volume.is_some() || mount.host_path.is_some());
        if has_data || has_program(&view, program) {
            return Ok(());
        }
        let name = program.args.0.first().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
        Err(LookupError::Program { name })
    }

    /// Forgets images that are not among these.
    pub(crate) fn forget(&self, keep: &BTreeSet<Digest>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(image, _), _| keep.contains(image));
    }

    fn view(&self, image: &Image) -> Result<Dir, LookupError> {
        Ok(overlay::view(&image.layers, &self.at)?)
    }
}

fn check_mounts(view: &Dir, spec: &ContainerSpec) -> Result<(), LookupError> {
    for path in OF_KERNEL {
        match there(view, path, Resolve::Beneath) {
            Ok(There::Folder | There::Nothing) => {}
            Ok(There::Other) => {
                let source = io::ErrorKind::NotADirectory.into();
                return Err(LookupError::Kernels {
                    path,
                    source: fs::Error { act: "open", path: path.into(), source },
                });
            }
            Err(source) => return Err(LookupError::Kernels { path, source }),
        }
    }
    for mount in &spec.volumes {
        let (path, wanted) = (mount.mount_path.clone(), wanted(mount.source())?);
        match there(view, &path, Resolve::InRoot) {
            Ok(found) if found == wanted || found == There::Nothing => {}
            Ok(_) => {
                let wanted = if wanted == There::Folder { "folder" } else { "file" };
                return Err(LookupError::Sort { path, wanted });
            }
            Err(source) => return Err(LookupError::Target { path, source }),
        }
    }
    Ok(())
}

/// What a mount needs to be at its target.
fn wanted(source: Option<MountSource<'_>>) -> Result<There, LookupError> {
    let Some(MountSource::HostPath(path)) = source else { return Ok(There::Folder) };
    let failed = |source| LookupError::HostPath { path: path.to_owned(), source };
    let host = Dir::open("/".as_ref()).map_err(failed)?;
    let below = path.trim_start_matches('/');
    match there(&host, if below.is_empty() { "." } else { below }, Resolve::Beneath).map_err(failed)? {
        There::Nothing => {
            let source = io::ErrorKind::NotFound.into();
            Err(failed(fs::Error { act: "open", path: path.into(), source }))
        }
        found => Ok(found),
    }
}

fn there(dir: &Dir, path: &str, resolve: Resolve) -> fs::Result<There> {
    match dir.open_dir(path, resolve) {
        Ok(_) => Ok(There::Folder),
        Err(error) if error.is_missing() => Ok(There::Nothing),
        Err(error) if error.source.kind() == io::ErrorKind::NotADirectory => Ok(There::Other),
        Err(error) => Err(error),
    }
}

/// Whether the program is found as the keeper will look for it: by its path, or in the `PATH` it is to have.
fn has_program(view: &Dir, program: &Program) -> bool {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let name = program.args.0.first().map(|name| text(name)).unwrap_or_default();
    let is_there = |folder: &str| {
        let path = Path::new("/").join(&program.working_dir).join(folder).join(&name);
        view.open_file(path, Resolve::InRoot).is_ok()
    };
    if name.contains('/') {
        return is_there("");
    }
    let path = program.env.0.iter().find_map(|entry| entry.strip_prefix(b"PATH=")).map(text).unwrap_or_default();
    path.split(':').any(is_there)
}

fn in_path(name: &str) -> &'static str {
    if name.contains('/') { "" } else { ", or set PATH in `env`" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use std::{fs::create_dir_all, os::unix::fs::symlink, path::Path};

    fn check(folder: &Path, volumes: &serde_json::Value) -> Result<(), String> {
        let image = Image { digest: Digest([1; 32]), layers: vec![folder.to_owned()], config: Default::default() };
        let spec =
            ContainerSpec { volumes: serde_json::from_value(volumes.clone()).unwrap(), ..testing::container("x") };
        let program = Program { args: vec![b"/bin/x".to_vec()].into(), ..Program::default() };
        Lookup::new(folder.to_owned()).check(&image, &spec, &program).map_err(|error| error.to_string())
    }

    #[test]
    fn mounts_need_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        create_dir_all(at("etc")).unwrap();
        create_dir_all(at("bin")).unwrap();
        std::fs::write(at("bin/x"), "").unwrap();
        std::fs::write(at("etc/file"), "").unwrap();
        symlink("/etc", at("link")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let file = at("etc/file").to_str().unwrap().to_owned();
        let link = at("link").to_str().unwrap().to_owned();
        let on = |path: &str| serde_json::json!([{ "tmpfs": "1Mi", "mountPath": path }]);
        let host = |from: &str, path: &str| serde_json::json!([{ "hostPath": from, "mountPath": path }]);
        for good in [on("/etc"), on("/new/folder"), on("/link/deeper"), host(&file, "/link/file"), host("/etc", "/x")] {
            assert_eq!(check(folder.path(), &good), Ok(()), "{good}");
        }
        let cases = [
            (on("/etc/file"), "the image has no folder there"),
            (on("/link/file"), "the image has no folder there"),
            (on("/loop"), "nothing can be mounted on /loop"),
            (host(&file, "/etc"), "the image has no file there"),
            (host("/no/such", "/x"), "the host's /no/such can't be mounted"),
            (host(&link, "/x"), "can't be mounted"),
        ];
        for (bad, text) in cases {
            let error = check(folder.path(), &bad).unwrap_err();
            assert!(error.contains(text), "{bad}: {error}");
        }
    }

    #[test]
    fn the_program_is_found_as_it_will_be() {
        let folder = tempfile::tempdir().unwrap();
        create_dir_all(folder.path().join("usr/bin/folder")).unwrap();
        std::fs::write(folder.path().join("usr/bin/web"), "").unwrap();
        symlink("/usr/bin", folder.path().join("bin")).unwrap();
        symlink("/usr/bin/web", folder.path().join("usr/bin/alias")).unwrap();
        let view = Dir::open(folder.path()).unwrap();
        let cases = [
            ("/bin/web", "/", "", true),
            ("/bin/alias", "/", "", true),
            ("./web", "/usr/bin", "", true),
            ("./web", "/", "", false),
            ("web", "/", "/sbin:/bin", true),
            ("web", "/usr/bin", "/sbin", false),
            ("web", "/usr/bin", "/sbin:", true),
            ("folder", "/", "/bin", false),
            ("/bin/../../../etc/passwd", "/", "", false),
        ];
        for (name, working_dir, path, is_there) in cases {
            let program = Program {
                args: vec![name.as_bytes().to_vec()].into(),
                env: vec![format!("PATH={path}").into_bytes()].into(),
                working_dir: working_dir.to_owned(),
            };
            assert_eq!(has_program(&view, &program), is_there, "{name} in {working_dir}, {path:?}");
        }
    }

    #[test]
    fn the_kernels_folders_are_no_links() {
        for name in OF_KERNEL {
            let folder = tempfile::tempdir().unwrap();
            symlink("etc", folder.path().join(name)).unwrap();
            create_dir_all(folder.path().join("etc")).unwrap();
            assert!(check(folder.path(), &serde_json::json!([])).unwrap_err().contains(name));
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(name), "").unwrap();
            assert!(check(folder.path(), &serde_json::json!([])).unwrap_err().contains(name));
        }
    }
}
