//! The Lease in the cluster: winning it, keeping it, leaving it.

use super::{
    lease::{DURATION, Leadership, Next, Read, Watched},
    words,
};
use crate::api;
use abide_agent::Clock;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{Api, Client, Error, api::PostParams};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The Lease's name.
pub const LEASE: &str = "abide-controller";

/// How often a candidate looks, and a holder renews.
const CANDIDATE: Duration = Duration::from_secs(2);
const HOLDER: Duration = Duration::from_secs(5);

/// After a failure sooner: there is little time.
const AGAIN: Duration = Duration::from_secs(1);

/// What one request may take.
const REQUEST_MAX: Duration = Duration::from_secs(3);

/// Who wants to lead.
pub struct Election {
    api: Api<Lease>,
    me: String,
    clock: Clock,
    leadership: Leadership,
}

/// A time of leading.
#[derive(Debug)]
pub struct Term {
    /// Larger than that of every term before, as long as nobody deletes the Lease.
    pub number: u64,
    lease: Lease,
}

impl Election {
    /// `me` must be nobody else, at no time.
    pub fn new(client: Client, namespace: &str, me: String, clock: Clock) -> Self {
        let leadership = Leadership::none(clock.clone());
        Self { api: Api::namespaced(client, namespace), me, clock, leadership }
    }

    /// To be asked before each write.
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Waits until nobody else leads, and leads.
    pub async fn win(&self) -> Term {
        let mut watched = Watched::default();
        let mut told = String::new();
        loop {
            match self.try_to_win(&mut watched).await {
                Ok(Some(term)) => return term,
                Ok(None) => sleep(CANDIDATE).await,
                Err(error) => {
                    // Once for each reason, or it fills the log while the API server is away.
                    if told != error {
                        tracing::warn!(error, "can't ask who leads");
                        told = error;
                    }
                    sleep(CANDIDATE).await;
                }
            }
        }
    }

    async fn try_to_win(&self, watched: &mut Watched) -> Result<Option<Term>, String> {
        let found = self.request(self.api.get_opt(LEASE)).await.map_err(|error| error.to_string())?;
        let asked = self.clock.now();
        watched.see(found.as_ref().map(read), asked);
        let written = match (watched.next(&self.me, asked), found) {
            (Next::WaitUntil(_), _) => return Ok(None),
            (Next::Create, _) | (_, None) => {
                let lease = self.written(Lease::default(), 1);
                self.request(self.api.create(&PostParams::default(), &lease)).await
            }
            (Next::Take | Next::Renew, Some(lease)) => {
                let number = transitions(&lease) + 1;
                let lease = self.written(lease, number);
                self.request(self.api.replace(LEASE, &PostParams::default(), &lease)).await
            }
        };
        match written {
            Ok(lease) => {
                self.leadership.renewed(asked);
                Ok(Some(Term { number: u64::try_from(transitions(&lease)).unwrap_or_default(), lease }))
            }
            // Somebody was faster.
            Err(Trouble::Answer(error)) if api::status(&error) == Some(409) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Leads until that can't be kept up, and tells why.
    pub async fn keep(&self, mut term: Term) -> String {
        let mut pause = HOLDER;
        loop {
            sleep(pause).await;
            let asked = self.clock.now();
            let number = transitions(&term.lease);
            let lease = self.written(term.lease.clone(), number);
            let error = match self.request(self.api.replace(LEASE, &PostParams::default(), &lease)).await {
                Ok(lease) => {
                    self.leadership.renewed(asked);
                    term.lease = lease;
                    pause = HOLDER;
                    continue;
                }
                Err(error) => error,
            };
            if matches!(&error, Trouble::Answer(error) if matches!(api::status(error), Some(404 | 409))) {
                match self.request(self.api.get_opt(LEASE)).await {
                    // Somebody changed a label.
                    Ok(Some(lease)) if read(&lease).holder == self.me => term.lease = lease,
                    Ok(lease) => {
                        self.leadership.lost();
                        let other = lease.map(|lease| read(&lease).holder).filter(|holder| !holder.is_empty());
                        return format!("{} leads now", other.unwrap_or_else(|| "nobody".to_owned()));
                    }
                    Err(_) => {}
                }
            }
            if !self.leadership.is_held() {
                self.leadership.lost();
                return format!("Lease {LEASE} could not be renewed in time: {error}");
            }
            pause = AGAIN;
        }
    }

    /// Gives the Lease away, so that another need not wait, if it is ours.
    pub async fn leave(&self) {
        self.leadership.lost();
        let Ok(Some(mut lease)) = self.request(self.api.get_opt(LEASE)).await else { return };
        if read(&lease).holder != self.me {
            return;
        }
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
        }
        // Who can't give it away lets it run out.
        drop(self.request(self.api.replace(LEASE, &PostParams::default(), &lease)).await);
    }

    fn written(&self, mut lease: Lease, transitions: i32) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.take().unwrap_or_default();
        let is_same = before.holder_identity.as_ref() == Some(&self.me);
        lease.metadata.name = Some(LEASE.to_owned());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            lease_transitions: Some(transitions),
            acquire_time: before.acquire_time.filter(|_| is_same).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            ..before
        });
        lease
    }

    async fn request<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
        timeout(REQUEST_MAX, request).await.map_err(|_| Trouble::Silence)?.map_err(Trouble::Answer)
    }
}

/// Why a request came to nothing.
enum Trouble {
    Silence,
    Answer(Error),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silence => f.write_str("the API server doesn't answer"),
            Self::Answer(error) => f.write_str(&words::chain(error)),
        }
    }
}

fn transitions(lease: &Lease) -> i32 {
    lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default()
}

fn read(lease: &Lease) -> Read {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Read {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: seconds.map_or(DURATION, Duration::from_secs),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}
