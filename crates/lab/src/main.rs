//! `abide-lab FOLDER NAME...` puts what documents name beside them, into `FOLDER/images`: the images `hello` and `busybox`, and the
//! kernel `guest`. `abide-lab api-server COMMAND...` runs a command beside a Kubernetes API server, which KUBECONFIG names, with
//! kubectl in the PATH; the server ends with it.

use abide_lab::{ApiServer, assets, guest, oci, write};
use std::{
    env, fs,
    path::Path,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, program, arguments @ ..] = arguments.as_slice()
        && first == "api-server"
    {
        return beside_api_server(program, arguments);
    }
    let [folder, names @ ..] = arguments.as_slice() else { return usage() };
    let images = Path::new(folder).join("images");
    for name in names {
        match name.as_str() {
            "hello" => oci::hello().write_layout(&images.join(name), name),
            "busybox" => oci::busybox().write_layout(&images.join(name), name),
            "guest" => write(&images.join(name), &fs::read(guest()).expect("it was built just now")),
            _ => return usage(),
        }
    }
    ExitCode::SUCCESS
}

fn beside_api_server(program: &str, arguments: &[String]) -> ExitCode {
    let server = ApiServer::start();
    let path = format!("{}:{}", assets().display(), env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.args(arguments).env("KUBECONFIG", server.kubeconfig()).env("PATH", path);
    match command.status() {
        // What a signal ended has no code.
        Ok(status) => ExitCode::from(status.code().and_then(|code| code.try_into().ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("abide-lab: running {program}: {error}");
            ExitCode::from(127)
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("abide-lab FOLDER hello|busybox|guest...\nabide-lab api-server COMMAND...");
    ExitCode::from(64)
}
