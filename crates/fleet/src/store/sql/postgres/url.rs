//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE?…`, as PostgreSQL's own programs read it; what isn't held here is refused.

use super::tls::Tls;
use crate::store::StoreError;
use std::{path::PathBuf, str::FromStr as _, time::Duration};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// Which server, and how it is spoken to.
pub(super) struct Url {
    /// Without the password.
    pub(super) named: String,
    pub(super) config: Config,
    /// None: in the clear.
    pub(super) tls: Option<Tls>,
}

/// What the URL says of TLS.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sealing {
    mode: Option<String>,
    roots: Option<PathBuf>,
}

impl Url {
    /// Reads one.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let named = without_password(url);
        let refuse = |why: String| StoreError::NoDatabase { named: named.clone(), why };
        let (plain, sealing) = sealing_apart(url).map_err(refuse)?;
        let mut config = Config::from_str(&plain).map_err(|error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            refuse(format!("{error}{}", source.unwrap_or_default()))
        })?;
        let tls = sealing.tls(config.get_hosts()).map_err(refuse)?;
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        config.application_name("abide hub").connect_timeout(Duration::from_secs(5));
        // A way that is cut in silence is noticed by the system, too.
        config.tcp_user_timeout(Duration::from_secs(20)).keepalives_idle(Duration::from_secs(30));
        Ok(Self { named, config, tls })
    }
}

impl Sealing {
    fn tls(&self, hosts: &[Host]) -> Result<Option<Tls>, String> {
        let is_local = hosts.iter().all(|host| matches!(host, Host::Unix(_)));
        match (self.mode.as_deref(), &self.roots) {
            (Some("disable"), _) => Ok(None),
            (None, None) if is_local => Ok(None),
            (None | Some("verify-full"), Some(roots)) if roots.as_os_str() != "system" => Tls::new(roots)
                .map(Some)
                .map_err(|error| format!("its authorities can't be read from {}: {error}", roots.display())),
            (None | Some("verify-full"), _) => Err(
                "say by sslrootcert=FILE which authority's servers to believe; sslmode=disable sends everything in the clear"
                    .to_owned(),
            ),
            (Some(mode), _) => Err(format!(
                "sslmode={mode} doesn't make sure who answers: write sslmode=verify-full with sslrootcert=FILE, or sslmode=disable"
            )),
        }
    }
}

/// Takes what is said of TLS out of the URL, as the client's own reader knows less of it.
fn sealing_apart(url: &str) -> Result<(String, Sealing), String> {
    let (base, settings) = url.split_once('?').unwrap_or((url, ""));
    let mut sealing = Sealing::default();
    let mut others = Vec::new();
    for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        match key {
            "sslmode" => sealing.mode = Some(value.to_owned()),
            "sslrootcert" => sealing.roots = Some(decoded(value)?.into()),
            "sslcert" | "sslkey" | "sslpassword" | "sslcrl" | "sslcrldir" | "passfile" | "service" | "gssencmode"
            | "krbsrvname" => {
                return Err(format!(
                    "{key} isn't supported: a user is known by a password, or by the socket it comes through"
                ));
            }
            _ => others.push(setting),
        }
    }
    Ok((format!("{base}?{}", others.join("&")), sealing))
}

fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits = |rest: &mut std::str::Bytes<'_>| {
            let pair = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()
        };
        let byte = if byte == b'%' { digits(&mut rest).ok_or_else(|| format!("{text:?} has a lone %"))? } else { byte };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| format!("{text:?} is no UTF-8"))
}

/// As it may be shown.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => format!("{}@{host}", user.split(':').next().unwrap_or_default()),
        None => authority.to_owned(),
    };
    let (path, settings) = tail.split_once('?').unwrap_or((tail, ""));
    let shown: Vec<_> =
        settings.split('&').filter(|setting| !setting.is_empty() && !setting.starts_with("password=")).collect();
    let mark = if shown.is_empty() { "" } else { "?" };
    format!("{scheme}://{authority}{path}{mark}{}", shown.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("postgres://hub:se%40cret@db:5432/fleet?sslmode=disable", "postgres://hub@db:5432/fleet?sslmode=disable"),
            ("postgres://hub@db/fleet?password=secret", "postgres://hub@db/fleet"),
            ("postgres://hub:p@ss@db", "postgres://hub@db"),
            ("postgres:///fleet?host=/run/postgresql", "postgres:///fleet?host=/run/postgresql"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn what_is_not_held_is_refused_in_words() {
        let why = |url: &str| match Url::parse(url) {
            Err(StoreError::NoDatabase { why, .. }) => why,
            Err(other) => panic!("{url}: {other}"),
            Ok(_) => "fine".to_owned(),
        };
        insta::assert_snapshot!(
            [
                "postgres:///fleet?host=/run/postgresql",
                "postgres://hub@%2Frun%2Fpostgresql/fleet",
                "postgres://hub@db/fleet?sslmode=disable",
                "postgres://hub@db/fleet",
                "postgres://hub@db/fleet?sslmode=require",
                "postgres://hub@db/fleet?sslmode=prefer",
                "postgres://hub@db/fleet?sslmode=verify-full",
                "postgres://hub@db/fleet?sslrootcert=system",
                "postgres://hub@db/fleet?sslrootcert=/no/such%20file",
                "postgres://hub@db/fleet?sslrootcert=%",
                "postgres://hub@db/fleet?sslmode=disable&sslkey=a",
                "postgres://hub@db/fleet?sslmode=disable&colour=red",
                "postgres://hub@db:port/fleet?sslmode=disable",
            ]
            .map(|url| format!("{url}\n    {}", why(url)))
            .join("\n")
        );
    }
}
