//! `abide-lab FOLDER NAME...` puts what documents name beside them, into `FOLDER/images`: the images `hello` and `busybox`, and the
//! kernel `guest`.

use abide_lab::{guest, oci, write};
use std::{fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
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

fn usage() -> ExitCode {
    eprintln!("abide-lab FOLDER hello|busybox|guest...");
    ExitCode::from(64)
}
