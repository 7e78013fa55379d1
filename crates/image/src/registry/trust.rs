//! Whose certificates are believed: what the machine trusts, its owner's own authorities among them.

use super::RegistryError;
use abide_host::fs::{Dir, Resolve};
use std::{io, path::Path, sync::Arc};
use ureq::tls::{PemItem, RootCerts, parse_pem};

/// Where Linux distributions keep the certificates they trust.
const AUTHORITIES: [&str; 4] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
];

/// Where these are looked for. In a pod of a cluster the machine's are in the root of its first process: what of them is mounted
/// into the pod is often but links to folders that are not.
const ROOTS: [&str; 2] = ["/", "/proc/1/root/."];

/// Bytes of such a file: some hundreds of certificates are a quarter of a megabyte.
const BYTES_MAX: u64 = 16 << 20;

/// The certificates to trust: those given, those that the machine trusts, or those of Mozilla.
pub(super) fn roots(authorities: Option<&str>) -> Result<RootCerts, RegistryError> {
    let read = |path: &str| match std::fs::read(path) {
        Ok(pem) => Ok(pem),
        Err(source) => Err(RegistryError::Authorities { path: path.to_owned(), source }),
    };
    let pem = match authorities {
        Some(path) => Some(read(path)?),
        None => ROOTS.iter().find_map(|root| trusted(Path::new(root))),
    };
    let certificates: Vec<_> = parse_pem(pem.as_deref().unwrap_or_default())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    match (certificates.is_empty(), authorities) {
        (true, Some(path)) => {
            let source = io::Error::new(io::ErrorKind::InvalidData, "no certificate in PEM is in it");
            Err(RegistryError::Authorities { path: path.to_owned(), source })
        }
        (true, None) => Ok(RootCerts::WebPki),
        (false, _) => Ok(RootCerts::Specific(Arc::new(certificates))),
    }
}

/// What is trusted in a root folder, where links mean what they mean to who has it as its root.
fn trusted(root: &Path) -> Option<Vec<u8>> {
    let root = Dir::open(root).ok()?;
    AUTHORITIES.iter().find_map(|path| root.read(path, Resolve::InRoot, BYTES_MAX).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{create_dir_all, write},
        os::unix::fs::symlink,
    };

    #[test]
    fn each_distribution_s_certificates_are_found() {
        // Where the file is, and links on the way to it.
        type Links = &'static [(&'static str, &'static str)];
        let table: [(&str, &str, Links); 4] = [
            ("Debian", "etc/ssl/certs/ca-certificates.crt", &[]),
            (
                "Fedora",
                "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                &[
                    ("etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
                    ("etc/ssl/certs", "../pki/tls/certs"),
                ],
            ),
            (
                "SUSE",
                "var/lib/ca-certificates/ca-bundle.pem",
                &[("etc/ssl/ca-bundle.pem", "/var/lib/ca-certificates/ca-bundle.pem")],
            ),
            ("Alpine", "etc/ssl/cert.pem", &[]),
        ];
        for (what, file, links) in table {
            let folder = tempfile::tempdir().unwrap();
            let beneath = |path: &str| {
                let path = folder.path().join(path);
                create_dir_all(path.parent().unwrap()).unwrap();
                path
            };
            assert_eq!(trusted(folder.path()), None, "{what}");
            write(beneath(file), what).unwrap();
            links.iter().for_each(|(link, target)| symlink(target, beneath(link)).unwrap());
            assert_eq!(trusted(folder.path()).as_deref(), Some(what.as_bytes()), "{what}");
        }
    }

    #[test]
    fn a_process_s_root_can_be_looked_into() {
        let (of_first, of_self) = (ROOTS[1], ROOTS[1].replace('1', "self"));
        assert!(of_first.starts_with("/proc/1/") && Dir::open(Path::new(&of_self)).is_ok());
    }
}
