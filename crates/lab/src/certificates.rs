//! Certificates of an authority of one's own.

use std::path::Path;

/// `NAME.pem` and `NAME.key` of an authority.
pub(crate) fn authority(folder: &Path, name: &str) {
    make(folder, name, &["-subj", &format!("/CN={name}"), "-addext", "basicConstraints=critical,CA:TRUE"]);
}

/// `server.pem` and `server.key`, by the authority `ca`, for a server that is reached by these names, as openssl writes them.
pub(crate) fn server(folder: &Path, names: &str) {
    let (authority, key) = (file(folder, "ca.pem"), file(folder, "ca.key"));
    let names = format!("subjectAltName={names}");
    let by = ["-CA", &authority, "-CAkey", &key];
    make(
        folder,
        "server",
        &[&["-subj", "/CN=server", "-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE"], &by[..]]
            .concat(),
    );
}

fn make(folder: &Path, name: &str, more: &[&str]) {
    let (key, certificate) = (file(folder, &format!("{name}.key")), file(folder, &format!("{name}.pem")));
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    crate::run("openssl", &[&new[..], &["-keyout", &key, "-out", &certificate], more].concat());
}

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}
