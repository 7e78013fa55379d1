use crate::rig::{Rig, small, whole};
use abide_image::{Login, Options};
use abide_lab::{Registry, run};
use std::{fs, sync::Mutex};

/// bcrypt of `secret`.
const HTPASSWD: &str = "user:$2b$04$GWW/dGFgxoyHXRLdLQ2VSuuCG0YfBF01xc9FMvE7piavjtresZrsu\n";

fn push(rig: &Rig, registry: &str, arguments: &[&str]) {
    let folder = rig.path("layout");
    small().write_layout(&folder, "web");
    let (from, to) = (format!("oci:{}:web", folder.display()), format!("docker://{registry}/shop/web:1.5"));
    let fixed = ["--insecure-policy", "copy", "-q", "--preserve-digests", "--dest-tls-verify=false"];
    run("skopeo", &[&fixed[..], arguments, &[from.as_str(), to.as_str()]].concat());
}

#[test]
fn pulled_once_by_tag_and_by_digest() {
    let registry = Registry::start("", |_| {});
    let rig = Rig::new();
    push(&rig, &registry.address, &[]);
    let name = format!("{}/shop/web:1.5", registry.address);
    assert_eq!(rig.find(&name), None);
    let told = Mutex::new(Vec::new());
    let insecure = [registry.address.clone()];
    let wanted = abide_image::Wanted { image: &name, files: &Default::default(), insecure_registries: &insecure };
    let image = rig.images.prepare(&wanted, &|progress| told.lock().unwrap().push(progress), &|| false);
    let image = image.map_err(|error| whole(&error)).unwrap();
    assert!(!told.lock().unwrap().is_empty());
    assert_eq!(image.digest, small().manifest);
    assert_eq!(fs::read(image.layers[0].join("hello")).unwrap(), b"2");
    let pinned = format!("{}/shop/web@sha256:{}", registry.address, image.digest);
    assert_eq!(rig.prepare(&pinned).map_err(|error| whole(&error)).unwrap(), image);

    let missing = rig.prepare(&format!("{}/shop/none:1", registry.address)).unwrap_err();
    assert!(missing.can_retry() && whole(&missing).contains("has no image"), "{}", whole(&missing));
    drop(registry);
    assert_eq!(rig.prepare(&name).unwrap(), image);
    let away = rig.prepare(&name.replace("1.5", "1.6")).unwrap_err();
    assert!(away.can_retry() && whole(&away).contains("can't be reached"), "{}", whole(&away));
}

#[test]
fn https_with_credentials_and_an_authority_of_ones_own() {
    let certificates = |dir: &std::path::Path| {
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        fs::write(path("htpasswd"), HTPASSWD).unwrap();
        run(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-subj",
                "/CN=test",
                "-days",
                "9",
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-keyout",
                &path("key.pem"),
                "-out",
                &path("cert.pem"),
            ],
        );
    };
    let kept = tempfile::tempdir().unwrap();
    let authorities = kept.path().join("cert.pem");
    let more =
        "  tls: {certificate: DIR/cert.pem, key: DIR/key.pem}\nauth: {htpasswd: {realm: x, path: DIR/htpasswd}}\n";
    let registry = Registry::start(more, |dir| {
        certificates(dir);
        fs::copy(dir.join("cert.pem"), &authorities).unwrap();
    });
    // `localhost`, as 127.0.0.1 is spoken to by http in these tests.
    let address = registry.address.replace("127.0.0.1", "localhost");
    let rig = |password: Option<&'static str>, authorities: Option<&std::path::Path>| {
        let login =
            move |_: &str| Ok(password.map(|password| Login { user: "user".into(), password: password.into() }));
        Rig::with(Options {
            credentials: Box::new(login),
            authorities: authorities.map(|path| path.to_str().unwrap().to_owned()),
            ..Options::default()
        })
    };
    let good = rig(Some("secret"), Some(&authorities));
    push(&good, &registry.address, &["--dest-creds", "user:secret"]);
    let name = format!("{address}/shop/web:1.5");
    assert_eq!(good.prepare(&name).map_err(|error| whole(&error)).unwrap().digest, small().manifest);
    for (rig, said) in [
        (rig(Some("wrong"), Some(&authorities)), "still good"),
        (rig(None, Some(&authorities)), "none are given"),
        (rig(Some("secret"), None), "certificate"),
    ] {
        let error = whole(&rig.prepare(&name).unwrap_err());
        assert!(error.contains(said) && !error.contains("secret"), "{error}");
    }
}
