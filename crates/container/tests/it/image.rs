//! Layers that tests start from.

use abide_lab::oci::{Files, Layer};
use std::fs;

/// Programs that scripts use.
const PROGRAMS: &str = "sh cat ls id grep stat touch mkdir mknod head pwd sleep wc readlink hostname dd \
                        chmod find sort tail";

/// A layer with a shell, users and a world-writable /tmp.
pub(crate) fn base() -> Layer {
    let busybox = fs::read("/bin/busybox").expect("this test needs the package busybox-static");
    let users = "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv/web:/bin/sh\n";
    let groups = "root:x:0:\nweb:x:34:\nlog:x:44:web\n";
    let files = Files::new()
        .folder("bin", 0o755)
        .file("bin/busybox", 0o755, &busybox)
        .folder("etc", 0o755)
        .file("etc/passwd", 0o644, users.as_bytes())
        .file("etc/group", 0o644, groups.as_bytes())
        .folder("tmp", 0o1777);
    let programs = PROGRAMS.split_whitespace();
    programs.fold(files, |files, name| files.link(&format!("bin/{name}"), "busybox")).layer()
}

/// A program that makes one system call, whose first argument is this and the others are 0, and exits with the number of
/// the error.
#[cfg(target_arch = "x86_64")]
pub(crate) fn caller(call: i64, argument: u32) -> Vec<u8> {
    const START: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut code = vec![0xb8];
    code.extend(u32::try_from(call).unwrap().to_le_bytes());
    code.push(0xbf);
    code.extend(argument.to_le_bytes());
    // xor esi, esi; xor edx, edx; xor r10d, r10d; syscall; neg eax; mov edi, eax; mov eax, 60; syscall
    code.extend([0x31, 0xf6, 0x31, 0xd2, 0x45, 0x31, 0xd2, 0x0f, 0x05, 0xf7, 0xd8, 0x89, 0xc7]);
    code.extend([0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
    let mut program = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    program.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    [START + HEADERS, 64, 0].iter().for_each(|number: &u64| program.extend(number.to_le_bytes()));
    program.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    // One segment, to be read and executed.
    program.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    let size = HEADERS + code.len() as u64;
    [0, START, START, size, size, 0x1000].iter().for_each(|number: &u64| program.extend(number.to_le_bytes()));
    program.extend(code);
    program
}
