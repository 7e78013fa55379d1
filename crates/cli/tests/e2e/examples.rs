//! Every example runs as it stands, but for host ports that may be somebody's here, and for an image that would be pulled from
//! far away.

use crate::{started, support::local};
use abide_lab::{HostPort, Registry, debian, guest, host_port, http::get, oci, write};
use std::{fs, net::TcpStream, path::Path};

const DATABASE: &str = "docker.io/library/postgres:17";

/// Gives each published port another number that is free.
fn move_ports(text: &str, moved: &mut Vec<HostPort>) -> String {
    let mut parts = text.split("hostPort: ");
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let port = host_port();
        let rest = part.trim_start_matches(|digit: char| digit.is_ascii_digit());
        changed += &format!("hostPort: {}{rest}", port.number);
        moved.push(port);
    }
    changed
}

/// What the documents name beside them.
fn fill(folder: &Path, documents: &str) {
    let images = folder.join("images");
    if documents.contains("oci:images/hello") {
        oci::hello().write_layout(&images.join("hello"), "hello");
    }
    if documents.contains("images/guest") {
        write(&images.join("guest"), &fs::read(guest()).unwrap());
    }
}

#[test]
fn each_runs() {
    let registry = Registry::start("", |_| {});
    let source = format!(
        "apiVersion: abide.dev/v1alpha1\nkind: Source\nmetadata: {{name: example}}\nspec: {{git: {{url: /}}, grants: {{insecureRegistries: [\"{}\"]}}}}\n",
        registry.address
    );
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let examples = fs::read_dir(all).unwrap().map(|entry| entry.unwrap());
    // A fleet's needs a hub.
    for example in examples.filter(|example| !example.path().join("fleet.yaml").exists()) {
        let (rig, name) = (started(), example.file_name().into_string().unwrap());
        let (folder, mut ports, mut documents) = (rig.path(&name), Vec::new(), String::new());
        for file in fs::read_dir(example.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_none_or(|end| end != "yaml") {
                continue;
            }
            let mut text = move_ports(&fs::read_to_string(&file).unwrap(), &mut ports);
            if text.contains(DATABASE) {
                text = text.replace(DATABASE, &debian::postgresql(&registry));
            }
            write(&folder.join(file.file_name().unwrap()), text.as_bytes());
            documents += &text;
        }
        fill(&folder, &documents);
        let file = rig.path("source.yaml");
        fs::write(&file, &source).unwrap();
        rig.must(&["apply", folder.to_str().unwrap(), "--source", file.to_str().unwrap()]);
        assert!(!ports.is_empty(), "{name} publishes nothing");
        for port in ports {
            // A database speaks no HTTP.
            let answers = || match documents.contains(&format!("port: 5432, hostPort: {}", port.number)) {
                true => TcpStream::connect(local(port.number)).is_ok(),
                false => get(local(port.number), "/").is_ok_and(|answer| answer.status == 200),
            };
            rig.until(&format!("{name} answers on port {}", port.number), || answers().then_some(()));
        }
        rig.end();
    }
}
