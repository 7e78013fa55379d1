//! `abide hub token`

use crate::{
    admin,
    args::hub::TokenCommand,
    exit::{Done, Exit},
    here::Here,
    output,
    render::{
        age,
        style::Style,
        table::{cell, table},
    },
};
use abide_fleet::{
    admin::token::{Created, NewToken, Token, Tokens},
    server::tls::WallClock,
};

pub(super) fn run(here: &Here, command: &TokenCommand) -> Done {
    match command {
        TokenCommand::Create { uses, expires, names, labels, output } => {
            let asked = NewToken {
                uses: *uses,
                seconds: expires.0.as_secs(),
                names: names.clone(),
                labels: labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect(),
            };
            let created: Created = admin::ask(here, "POST", "/admin/tokens", Some(&asked))?;
            output::print(output.format, &created, || {
                format!("On the machine, as root:\n\nabide enroll {} --token {}\n", created.url, created.token)
            });
        }
        TokenCommand::List { output } => {
            let tokens: Tokens = admin::get(here, "/admin/tokens")?;
            output::print(output.format, &tokens, || words(&tokens));
        }
        TokenCommand::Remove { id, output } => {
            let path = format!("/admin/tokens/{}", admin::quoted(id));
            let (): () = admin::ask(here, "DELETE", &path, None::<&()>)?;
            output::words(output.format, &[format!("✔ token {id} lets nobody in any more")]);
        }
    }
    Ok(Exit::Done)
}

fn words(tokens: &Tokens) -> String {
    if tokens.tokens.is_empty() {
        return "there are no tokens: `abide hub token create` makes one\n".to_owned();
    }
    let now = WallClock::system().now();
    let head = ["TOKEN", "USES LEFT", "EXPIRES", "NAMES", "LABELS"].map(cell);
    let rows = tokens.tokens.iter().map(|token| {
        let Token { id, uses_left, names, .. } = token;
        let names = names.clone().unwrap_or_else(|| "*".to_owned());
        [id.clone(), uses_left.to_string(), expires(token, now), names, super::machine::labels(&token.labels)].map(cell)
    });
    table("", &[head].into_iter().chain(rows).collect::<Vec<_>>(), Style::of_output())
}

fn expires(token: &Token, now: i64) -> String {
    match u64::try_from(token.expires_at.saturating_sub(now)) {
        Ok(left) if left > 0 => format!("in {}", age(left)),
        _ => "expired".to_owned(),
    }
}
