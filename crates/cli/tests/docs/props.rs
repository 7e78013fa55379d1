//! The files that pages name and don't show: an image of a small web server with busybox beside it, and a kernel.

use abide_lab::oci::{Config, Files, image};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// What busybox is called by on the pages.
const TOOLS: [&str; 11] = ["sh", "cat", "echo", "id", "grep", "touch", "ls", "sleep", "ps", "wget", "env"];

/// A folder with `images/web` and `images/guest`.
pub(crate) fn folder() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs");
        // Those of an earlier run may be of other programs.
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).unwrap();
        make(&folder.join("images"));
        folder
    })
}

fn make(images: &Path) {
    let read = |path: &Path| {
        fs::read(path).unwrap_or_else(|error| panic!("the pages' images need {}: {error}", path.display()))
    };
    let (hello, busybox) = (read(&abide_lab::hello()), read(Path::new("/bin/busybox")));
    let files = Files::new().folder("bin", 0o755).file("bin/busybox", 0o755, &busybox).file("hello", 0o755, &hello);
    let files = TOOLS.iter().fold(files, |files, tool| files.link(&format!("bin/{tool}"), "busybox"));
    let files = files.folder("tmp", 0o1777).folder("etc", 0o755);
    let config = Config { entrypoint: vec!["/hello".to_owned()], ..Config::default() };
    image(&config, &[files.layer()]).write_layout(&images.join("web"), "latest");
    fs::copy(abide_lab::guest(), images.join("guest")).unwrap();
}
