//! What people are told of the hub, and what they can do.

use super::{
    identity::Identity,
    trouble::{Trouble, with_causes},
};
use crate::protocol::RefusalCode;
use std::time::{Duration, SystemTime};

/// Why the hub doesn't say what the machine is to be on.
pub(super) fn of(trouble: &Trouble, identity: &Identity) -> String {
    let hub = &identity.hub;
    match trouble {
        Trouble::Refused(refusal, _) => {
            let remedy = match refusal.code {
                RefusalCode::Revoked | RefusalCode::Unknown | RefusalCode::Cloned => {
                    "; on the machine that is `abide enroll --again`"
                }
                RefusalCode::Protocol => "; update the older of the two",
                _ => "",
            };
            format!("the hub {hub} refuses this machine: {}{remedy}", refusal.message)
        }
        other => format!("the hub {hub} can't be asked: {}", with_causes(other)),
    }
}

/// That the machine's certificate is too old, and why there is no new one.
pub(super) fn expired(identity: &Identity, renewal: Option<&str>) -> String {
    let why = renewal.map_or_else(String::new, |why| format!(", and was not renewed ({why})"));
    let at = date(identity.expires_at);
    format!(
        "; the machine's certificate expired on {at}{why}: if the hub doesn't renew it any more, enrol it anew with `abide enroll --again`"
    )
}

/// A time for people.
pub(super) fn date(seconds: i64) -> String {
    let at =
        u64::try_from(seconds).ok().and_then(|since| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since)));
    // What a hub says may be beyond what can be written.
    let is_writable = seconds < 253_402_300_800;
    at.filter(|_| is_writable).map_or_else(|| format!("{seconds} s after 1970"), httpdate::fmt_http_date)
}
