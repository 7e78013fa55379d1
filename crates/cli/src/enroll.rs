//! `abide enroll`: this machine becomes one of a fleet.

use crate::{
    args::enroll::{Enroll, all},
    documents,
    exit::{Done, Exit, Failure, with_causes},
    here::Here,
    output::{self, Format},
    source::{register, words_of},
};
use abide_fleet::{
    link::{
        Address, Folder, Identity, Token, Trouble,
        enroll::{EnrollError, Enrolment, enroll, renew},
        system,
    },
    protocol::RefusalCode,
};
use abide_git::revision;
use abide_spec::{
    Name, fleet,
    kind::{Credentials, Follow, HubSource, SourceSpec},
};
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// How the source is called that is the hub.
const SOURCE: &str = "fleet";

/// What the kernel calls this machine.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// The state folder of the source that is the hub.
pub(crate) fn directory(here: &Here) -> PathBuf {
    here.paths.state.join("sources").join(SOURCE)
}

pub(crate) fn run(here: &Here, command: &Enroll) -> Done {
    let runtime = abide_agent::runtime().map_err(Failure::doing("starting threads"))?;
    let folder = Folder::of(&directory(here));
    if command.renew {
        let identity = runtime.block_on(renew(&folder, system())).map_err(|error| failure(&error))?;
        // An agent that runs gets one for itself in time; until then, the one that it shows holds as well.
        output::words(command.output.format, &[format!("the certificate of {} was renewed", identity.name)]);
        return Ok(Exit::Done);
    }
    if command.recipient {
        return recipient(&folder, command.output.format);
    }
    let wanted = wanted(command)?;
    let spec = spec_of(command, &wanted.hub.to_string())?;
    here.paths.make()?;
    let (identity, is_new) = match runtime.block_on(enroll(&folder, &wanted, system())) {
        Ok(identity) => (identity, true),
        // A command that was cut short after the machine was enrolled goes on.
        Err(EnrollError::Already(identity)) if is_the_same(&identity, &wanted) => (*identity, false),
        Err(error) => return Err(failure(&error)),
    };
    let (reply, by) = register(here, &source_name()?, spec)?;
    let recipient = identity.recipient()?;
    let mut words = vec![welcome(&identity, is_new), format!("values for it are encrypted to {recipient}")];
    words.extend(words_of(here, reply, by));
    output::words(command.output.format, &words);
    Ok(Exit::Done)
}

/// What this machine says of itself, without asking anybody.
fn recipient(folder: &Folder, format: Format) -> Done {
    #[derive(Serialize)]
    struct Shown {
        recipient: String,
    }
    let identity = folder.identity()?.ok_or_else(|| failure(&EnrollError::Never))?;
    let recipient = identity.recipient()?.to_string();
    output::print(format, &Shown { recipient: recipient.clone() }, || recipient + "\n");
    Ok(Exit::Done)
}

fn wanted(command: &Enroll) -> Result<Enrolment, Failure> {
    let missing = || Failure::usage("say which hub, and --token TOKEN");
    let hub: Address = command.url.as_deref().ok_or_else(missing)?.parse().map_err(usage)?;
    let token: Token = command.token.as_deref().ok_or_else(missing)?.parse().map_err(usage)?;
    let name = command.name.clone().map_or_else(host_name, Ok)?;
    let signers = command.signers.as_deref().map(signers).transpose()?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Enrolment { hub, token, name, version, signers, again: command.again })
}

fn usage(error: impl std::error::Error) -> Failure {
    Failure::usage(error.to_string())
}

/// The machine's own name, up to the first dot.
fn host_name() -> Result<Name, Failure> {
    let text = fs::read_to_string(HOSTNAME).map_err(Failure::file("reading", Path::new(HOSTNAME)))?;
    let first = text.trim().split('.').next().unwrap_or_default().to_lowercase();
    Name::new(&first)
        .map_err(|error| Failure::refused(format!("{error}; say how the machine is called with --name NAME")))
}

fn signers(path: &Path) -> Result<fleet::Signers, Failure> {
    let bytes = fs::read(path).map_err(Failure::file("can't read", path))?;
    let file = fleet::parse(&path.display().to_string(), &bytes);
    let file = file.map_err(|mistakes| Failure::refused(revision::render(&mistakes)))?;
    let none =
        || Failure::refused(format!("{} names no signers: write `signers`, or leave --signers out", path.display()));
    file.spec().signers.clone().ok_or_else(none)
}

/// What is to be followed: the hub, with what is granted.
fn spec_of(command: &Enroll, hub: &str) -> Result<SourceSpec, Failure> {
    let follow = Follow::Hub(HubSource { url: hub.to_owned() });
    let Some(path) = &command.source else {
        return Ok(SourceSpec { follow, credentials: Credentials::default(), grants: all(&command.grants) });
    };
    let (_, written) = documents::source(path)?;
    match &written.follow {
        Follow::Hub(other) if other.url.trim_end_matches('/') == hub => Ok(SourceSpec { follow, ..written }),
        other => {
            let path = path.display();
            Err(Failure::refused(format!("{path} follows {other}: write `hub: {{url: {hub}}}`")))
        }
    }
}

/// Whether an earlier command made the machine what this one would.
fn is_the_same(identity: &Identity, wanted: &Enrolment) -> bool {
    identity.hub == wanted.hub.to_string() && identity.name == wanted.name.as_str() && wanted.signers.is_none()
}

fn source_name() -> Result<Name, Failure> {
    Ok(SOURCE.parse::<Name>()?)
}

fn welcome(identity: &Identity, is_new: bool) -> String {
    let Identity { name, fleet, hub, .. } = identity;
    let already = if is_new { "" } else { " already" };
    format!("this machine is {name} of the fleet {fleet} at {hub}{already}")
}

/// Why it isn't, and what to do.
fn failure(error: &EnrollError) -> Failure {
    let text = with_causes(error);
    let again = "the same command goes on with the same keys";
    match error {
        EnrollError::Already(_) => Failure::refused(format!(
            "{text}: `abide enroll --renew` renews its certificate, and with --again it is enrolled anew, as after it was revoked"
        )),
        EnrollError::OtherFleet { .. } => Failure::refused(format!(
            "{text}: give the old one up with `abide source remove {SOURCE}`, and remove its folder below `sources/`"
        )),
        EnrollError::Never => Failure::refused(format!("{text}: `abide enroll URL --token TOKEN`")),
        EnrollError::Hub(Trouble::Refused(refusal, _)) => match refusal.code {
            RefusalCode::Token => {
                Failure::refused(format!("{text}: make another one on the hub with `abide hub token create`"))
            }
            RefusalCode::NameTaken => Failure::refused(format!(
                "{text}: choose another name with --name, or `abide hub machine revoke NAME` on the hub if that machine is no more"
            )),
            RefusalCode::Busy | RefusalCode::Unavailable => Failure::failed(format!("{text}: {again}")),
            _ => Failure::refused(text),
        },
        EnrollError::Hub(_) => Failure::failed(format!("{text}; {again}")),
        EnrollError::Answer(_) | EnrollError::Certificate(_) | EnrollError::Pinned => Failure::refused(text),
        _ => Failure::failed(text),
    }
}
