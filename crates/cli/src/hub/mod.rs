//! `abide hub`: a fleet's hub, and what people tell it.
//!
//! | module | what it is |
//! |---|---|
//! | here | its authority |
//! | `serve` | all of a hub, put together |
//! | `token`, `machine` | what is asked of the one that serves here |

mod machine;
mod serve;
mod token;

pub(crate) use machine::{machines, recipient};

use crate::{
    admin,
    args::hub::{Hub, HubCommand, Init, RenewIssuing},
    exit::{Done, Exit, Failure, with_causes},
    here::Here,
    output,
};
use abide_fleet::server::{
    authority::{Authority, AuthorityError, Made},
    tls::WallClock,
};
use serde::Serialize;
use std::path::PathBuf;

pub(crate) fn run(here: &Here, command: &Hub) -> Done {
    match &command.command {
        HubCommand::Init(command) => init(here, command),
        HubCommand::Serve(command) => serve::run(here, command),
        HubCommand::RenewIssuing(command) => renew_issuing(here, command),
        HubCommand::Token(command) => token::run(here, command),
        HubCommand::Machine(command) => machine::run(here, command),
    }
}

/// Where the authority is.
fn folder(here: &Here) -> PathBuf {
    here.paths.state.join("hub")
}

/// What `abide hub init` made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Initialized {
    fleet_id: String,
    folder: PathBuf,
    root_sha256: String,
    fleet_yaml: String,
}

fn init(here: &Here, command: &Init) -> Done {
    here.paths.make()?;
    let folder = folder(here);
    let init =
        abide_fleet::server::authority::Init { names: command.name.clone(), fleet_name: command.fleet.to_string() };
    let (authority, made) =
        Authority::init(&folder, &init, WallClock::system().now()).map_err(|error| refused(&error))?;
    let key = folder.join("root.key");
    let initialized = Initialized {
        fleet_id: authority.fleet().to_owned(),
        root_sha256: authority.root_sha256(),
        fleet_yaml: authority.fleet_yaml(),
        folder,
    };
    output::print(command.output.format, &initialized, || {
        let made = if made == Made::Now { "made" } else { "there already" };
        let root = if key.exists() {
            format!(
                "Move {} to where nobody but you gets at it: it is needed again for `{}`, once in two years.\n",
                key.display(),
                here.command("hub renew-issuing")
            )
        } else {
            String::new()
        };
        format!(
            "✔ the authority of fleet {} is {made}, in {}\n{root}At the root of the fleet's repository there has to be a fleet.yaml that begins so:\n\n{}\nThen: {}\n",
            initialized.fleet_id,
            initialized.folder.display(),
            initialized.fleet_yaml,
            here.command("hub serve --repository URL"),
        )
    });
    Ok(Exit::Done)
}

fn renew_issuing(here: &Here, command: &RenewIssuing) -> Done {
    let folder = folder(here);
    let key = command.root_key.clone().unwrap_or_else(|| folder.join("root.key"));
    Authority::renew_issuing(&folder, &key, WallClock::system().now()).map_err(|error| refused(&error))?;
    // Others look into their folders now and then.
    if admin::is_there(here) {
        let (): () = admin::ask(here, "POST", "/admin/authority", None::<&()>)?;
    }
    output::words(command.output.format, &["✔ certificates are signed by another key from now on".to_owned()]);
    Ok(Exit::Done)
}

/// What is about what was asked for, and what about the disk.
fn refused(error: &AuthorityError) -> Failure {
    let text = with_causes(error);
    match error {
        AuthorityError::File { .. } | AuthorityError::Random => Failure::failed(text),
        _ => Failure::refused(text),
    }
}
