//! What a process gives up before it is the program.

use crate::{
    job::{Identity, Program},
    message::{Doing, Failure},
    sys,
    sys::mount::{Links, change_directory, open_beneath},
};
use libc::{EACCES, ENOENT, ENOTDIR, c_ulong};
use std::{ffi::CString, fs::File, io, os::fd::AsFd};

/// More than any kernel knows; those that it doesn't know are refused with EINVAL.
const CAPABILITIES: u64 = 64;

/// The new files of a program are nobody's to change but its own.
const UMASK: u32 = 0o022;

/// Takes on who the program runs as, and executes it in its working directory with the first so many descriptors. Returns
/// only if something failed.
pub(crate) fn execute_as(identity: &Identity, program: &Program, descriptors: usize) -> Failure {
    match assume(identity, program) {
        Ok((args, env)) => find_and_execute(program, &args, &env, descriptors),
        Err(failure) => failure,
    }
}

fn assume(identity: &Identity, program: &Program) -> Result<(Vec<CString>, Vec<CString>), Failure> {
    let texts = |texts: &[Vec<u8>]| -> io::Result<Vec<CString>> {
        let text = |text: &Vec<u8>| CString::new(&text[..]).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
        texts.iter().map(text).collect()
    };
    let args = texts(&program.args.0).doing(|| "pass arguments that have a NUL byte".to_owned())?;
    let env = texts(&program.env.0).doing(|| "pass an environment that has a NUL byte".to_owned())?;
    sys::set_umask(UMASK);
    go_to(&program.working_dir)?;
    let install = || -> io::Result<()> { identity.seccomp.0.iter().try_for_each(|program| sys::set_seccomp(program)) };
    if identity.no_new_privileges {
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).doing(|| "set no_new_privs".to_owned())?;
    } else {
        // Later, we lack the right.
        install().doing(|| "install the seccomp filter".to_owned())?;
    }
    for capability in (0..CAPABILITIES).filter(|bit| identity.capabilities >> bit & 1 == 0) {
        match sys::prctl(libc::PR_CAPBSET_DROP, capability as c_ulong) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            other => other.doing(|| format!("drop capability {capability}"))?,
        }
    }
    let Identity { uid, gid, .. } = *identity;
    sys::become_user(uid, gid, &identity.groups.0).doing(|| format!("become user {uid} and group {gid}"))?;
    // Another user's were cleared with the change of user.
    let capabilities = if uid == 0 { identity.capabilities } else { 0 };
    sys::set_capabilities(capabilities).doing(|| "set capabilities".to_owned())?;
    if identity.no_new_privileges {
        install().doing(|| "install the seccomp filter".to_owned())?;
    }
    Ok((args, env))
}

/// Goes to the working directory. It is made if it isn't there, as part of the path that does exist is followed.
fn go_to(path: &str) -> Result<(), Failure> {
    let doing = || format!("go to the working directory {path}");
    let root = File::open("/").doing(doing)?;
    let folder = match open_beneath(root.as_fd(), path, libc::O_PATH | libc::O_DIRECTORY, Links::InRoot) {
        Err(error) if error.raw_os_error() == Some(ENOENT) => crate::root::make_folders(root.as_fd(), path),
        other => other,
    };
    change_directory(folder.doing(doing)?.as_fd()).doing(doing)?;
    // A directory that is open from outside has no path in here (CVE-2024-21626).
    match std::env::current_dir() {
        Ok(path) if path.is_absolute() => Ok(()),
        _ => Err(Failure { doing: doing(), errno: ENOENT }),
    }
}

/// Looks the program up as execvp(3) does, but in the `PATH` that the program is to have.
fn find_and_execute(program: &Program, args: &[CString], env: &[CString], descriptors: usize) -> Failure {
    let name = program.args.0.first().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
    let failed = |errno| Failure::executing(&name, errno);
    if name.is_empty() {
        return failed(ENOENT);
    }
    if let Err(error) = sys::close_on_exec(descriptors as u32) {
        return failed(error.raw_os_error().unwrap_or(EACCES));
    }
    if name.contains('/') {
        return failed(sys::execute(&name, args, env).raw_os_error().unwrap_or(ENOENT));
    }
    let mut errno = ENOENT;
    let path = program.env.0.iter().find_map(|entry| entry.strip_prefix(b"PATH="));
    for folder in String::from_utf8_lossy(path.unwrap_or(b"/bin:/usr/bin")).split(':') {
        let folder = if folder.is_empty() { "." } else { folder };
        let error = sys::execute(&format!("{folder}/{name}"), args, env).raw_os_error().unwrap_or(ENOENT);
        if ![ENOENT, ENOTDIR].contains(&error) {
            errno = error;
        }
    }
    failed(errno)
}
