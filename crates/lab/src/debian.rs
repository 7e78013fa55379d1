//! Images of real software, as `buildah` makes them from scratch and copy: programs of Debian's packages with the libraries
//! that they are linked to, users, settings and a shell. They are pushed to a registry.

use crate::{Registry, run};
use std::{fs, path::Path, process::Command};

/// For who debugs, and for scripts.
const SHELL: &str = "/bin/busybox";

/// What is in an image, and what it says.
struct Recipe<'a> {
    name: &'a str,
    programs: &'a [&'a str],
    /// Files and folders beside them, with what they are linked to.
    more: &'a [&'a str],
    /// Of /etc/passwd; each has a group of its own of the same number.
    user: &'a str,
    folders: &'a [&'a str],
    files: &'a [(&'a str, &'a str)],
    /// Arguments of `buildah config`.
    config: &'a [&'a str],
}

/// nginx, which serves `/srv` as `/etc/nginx/server/*.conf` says.
pub fn nginx(registry: &Registry) -> String {
    let settings =
        "user www-data;\nerror_log /dev/stderr;\nevents {}\nhttp { access_log /dev/stdout; include server/*.conf; }\n";
    push(
        registry,
        &Recipe {
            name: "nginx",
            programs: &["/usr/sbin/nginx"],
            more: &[],
            user: "www-data:x:33:33::/srv:/bin/sh",
            folders: &["run", "srv", "var/lib/nginx", "var/log/nginx"],
            files: &[("etc/nginx/nginx.conf", settings), ("srv/index.html", "as Debian packages it\n")],
            config: &["--entrypoint", r#"["nginx","-g","daemon off;"]"#, "--stop-signal", "SIGQUIT"],
        },
    )
}

/// PostgreSQL, whose data is in `/var/lib/postgresql`, made there if there is none. Its socket is in `/tmp`.
pub fn postgresql(registry: &Registry) -> String {
    let start = "#!/bin/sh
set -e
data=/var/lib/postgresql/data
[ -s $data/PG_VERSION ] || initdb --pgdata $data --auth trust --encoding UTF8 --locale C
exec postgres -D $data -k /tmp -c listen_addresses='*' \"$@\"
";
    let home = newest("/usr/lib/postgresql");
    let programs = ["initdb", "pg_isready", "postgres", "psql"].map(|name| format!("{home}/bin/{name}"));
    // What it loads; that of the compiler for queries has as many bytes as all others together.
    let libraries = fs::read_dir(format!("{home}/lib")).unwrap().map(|entry| entry.unwrap().path());
    let libraries = libraries.filter(|path| path.extension().is_some_and(|end| end == "so"));
    let libraries: Vec<_> = libraries.map(|path| path.to_str().unwrap().to_owned()).collect();
    let shared = newest("/usr/share/postgresql");
    let libraries = libraries.iter().filter(|path| !path.contains("llvmjit"));
    let more: Vec<_> = libraries.chain([&shared]).map(String::as_str).collect();
    push(
        registry,
        &Recipe {
            name: "postgresql",
            programs: &programs.each_ref().map(String::as_str),
            more: &more,
            user: "postgres:x:70:70::/var/lib/postgresql:/bin/sh",
            folders: &["var/lib/postgresql"],
            files: &[("bin/start", start)],
            config: &[
                "--entrypoint",
                r#"["start"]"#,
                "--user",
                "postgres",
                "--stop-signal",
                "SIGINT",
                "--env",
                &format!("PATH={home}/bin:/bin"),
            ],
        },
    )
}

/// The folder of the newest release.
fn newest(folder: &str) -> String {
    let releases = fs::read_dir(folder).unwrap_or_else(|error| panic!("this test needs {folder}: {error}"));
    let releases = releases.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let newest = releases.filter_map(|name| name.parse::<u32>().ok()).max().unwrap();
    format!("{folder}/{newest}")
}

/// Builds it and pushes it; its name.
fn push(registry: &Registry, recipe: &Recipe<'_>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let root = folder.path().join("root");
    fill(&root, recipe);
    let (storage, state) = (at("storage"), at("state"));
    let buildah = |arguments: &[&str]| {
        let store = ["--storage-driver", "vfs", "--root", &storage, "--runroot", &state];
        run_for_text("buildah", &[&store, arguments].concat())
    };
    let container = buildah(&["from", "scratch"]);
    buildah(&["copy", &container, &at("root"), "/"]);
    buildah(&[&["config"], recipe.config, &[&container]].concat());
    buildah(&["commit", "--quiet", &container, recipe.name]);
    let name = format!("{}/{}:1", registry.address, recipe.name);
    buildah(&["push", "--quiet", "--tls-verify=false", recipe.name, &format!("docker://{name}")]);
    name
}

fn fill(root: &Path, recipe: &Recipe<'_>) {
    for folder in ["bin", "etc", "tmp"].iter().chain(recipe.folders) {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    run("chmod", &["1777", root.join("tmp").to_str().unwrap()]);
    let mut copied: Vec<String> = [recipe.programs, recipe.more].concat().into_iter().map(str::to_owned).collect();
    copied.extend(recipe.programs.iter().chain(recipe.more).flat_map(|file| libraries(file)));
    copied.sort_unstable();
    copied.dedup();
    let mut arguments = vec!["-rL", "--parents", "--target-directory", root.to_str().unwrap()];
    arguments.extend(copied.iter().map(String::as_str));
    run("cp", &arguments);
    for name in ["sh", "ls", "cat", "id", "mkdir"] {
        fs::copy(SHELL, root.join("bin").join(name)).expect("this test needs the package busybox-static");
    }
    let name = recipe.user.split(':').next().unwrap();
    let number = recipe.user.split(':').nth(2).unwrap();
    let users = [
        ("etc/passwd", format!("root:x:0:0::/root:/bin/sh\n{}\n", recipe.user)),
        ("etc/group", format!("root:x:0:\n{name}:x:{number}:\n")),
    ];
    let files = recipe.files.iter().map(|(path, text)| (*path, (*text).to_owned()));
    for (path, text) in files.chain(users) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if path.parent() == Some(&root.join("bin")) {
            run("chmod", &["755", path.to_str().unwrap()]);
        }
    }
}

/// The libraries that a program or library is linked to, as the dynamic linker finds them. A folder has none.
fn libraries(file: &str) -> Vec<String> {
    let output = Command::new("ldd").arg(file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    paths.map(str::to_owned).collect()
}

fn run_for_text(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
