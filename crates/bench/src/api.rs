//! The API server's HTTP API, as a program of somebody else would use it.

use crate::Problem;
use abide_lab::ApiServer;
use serde_json::Value;
use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};
use ureq::{
    Agent, BodyReader,
    tls::{Certificate, RootCerts, TlsConfig},
};

/// Of our kinds, in the only namespace that is used here.
const OBJECTS: &str = "apis/abide.dev/v1alpha1/namespaces/default";
/// Whatever takes longer doesn't come any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// A client with the rights of the admin.
#[derive(Clone)]
pub(crate) struct Api {
    agent: Agent,
    base: String,
    authorization: String,
}

/// A change of an object, and when it was heard of.
pub(crate) struct Change {
    pub(crate) at: Instant,
    pub(crate) object: Object,
}

/// An object as the server has it.
pub(crate) struct Object(Value);

/// What becomes of the objects of a kind, from now on.
pub(crate) struct Watch(Receiver<Result<Change, String>>);

impl Api {
    pub(crate) fn of(server: &ApiServer) -> Result<Self, Problem> {
        let config: Value = serde_json::from_slice(&fs::read(server.kubeconfig())?)?;
        let text = |path: &str| {
            let found = config.pointer(path).and_then(Value::as_str);
            found.ok_or_else(|| format!("the admin's kubeconfig has no {path}"))
        };
        let authority = fs::read(Path::new(text("/clusters/0/cluster/certificate-authority")?))?;
        let roots = RootCerts::new_with_certs(&[Certificate::from_pem(&authority)?]);
        let tls = TlsConfig::builder().root_certs(roots).build();
        Ok(Self {
            agent: Agent::config_builder().tls_config(tls).proxy(None).build().into(),
            base: format!("{}/{OBJECTS}", server.url()),
            authorization: format!("Bearer {}", text("/users/0/user/token")?),
        })
    }

    /// Creates an object of a kind, which is named as in paths.
    pub(crate) fn create(&self, kind: &str, object: &Value) -> Result<(), Problem> {
        let request = self.agent.post(format!("{}/{kind}", self.base)).header("Authorization", &self.authorization);
        let mut answer = request.header("Content-Type", "application/json").send(object.to_string())?;
        // Only then is the connection used again.
        answer.body_mut().read_to_string()?;
        Ok(())
    }

    /// Creates objects through so many connections at once.
    pub(crate) fn create_all(&self, kind: &str, objects: &[Value], connections: usize) -> Result<(), Problem> {
        thread::scope(|scope| {
            let create = |part: &[Value]| -> Result<(), String> {
                part.iter().try_for_each(|object| self.create(kind, object)).map_err(|problem| problem.to_string())
            };
            let parts: Vec<_> = objects
                .chunks(objects.len().div_ceil(connections))
                .map(|part| scope.spawn(move || create(part)))
                .collect();
            parts.into_iter().try_for_each(|part| part.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
        })?;
        Ok(())
    }

    /// Deletes all objects of a kind.
    pub(crate) fn delete_all(&self, kind: &str) -> Result<(), Problem> {
        let request = self.agent.delete(format!("{}/{kind}", self.base)).header("Authorization", &self.authorization);
        request.call()?.body_mut().read_to_string()?;
        Ok(())
    }

    /// Watches the objects of a kind, beginning with those that are there.
    pub(crate) fn watch(&self, kind: &str) -> Result<Watch, Problem> {
        let (api, kind) = (self.clone(), kind.to_owned());
        let mut lines = api.watch_lines(&kind)?;
        let (send, watch) = channel();
        thread::spawn(move || {
            loop {
                let Err(problem) = hear(&mut lines, &send) else { return };
                // Servers end watches when they like; the next one begins with all as it is then.
                match api.watch_lines(&kind) {
                    Ok(next) => lines = next,
                    Err(after) => return drop(send.send(Err(format!("{problem}, and then {after}")))),
                }
            }
        });
        Ok(Watch(watch))
    }

    fn watch_lines(&self, kind: &str) -> Result<Lines, Problem> {
        let url = format!("{}/{kind}?watch=true", self.base);
        // A kind that was defined a moment ago may not be served yet.
        let end = Instant::now() + PATIENCE;
        let answer = loop {
            match self.agent.get(&url).header("Authorization", &self.authorization).call() {
                Err(ureq::Error::StatusCode(404 | 429)) if Instant::now() < end => thread::sleep(PAUSE),
                answer => break answer?,
            }
        };
        Ok(BufReader::new(answer.into_body().into_with_config().limit(u64::MAX).reader()).lines())
    }
}

type Lines = io::Lines<BufReader<BodyReader<'static>>>;

/// Passes on what a watch says until it ends, or nobody listens any more: then all is well.
fn hear(lines: &mut Lines, send: &Sender<Result<Change, String>>) -> Result<(), String> {
    for line in lines {
        let at = Instant::now();
        let line = line.map_err(|error| error.to_string())?;
        let mut event: Value = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
        if send.send(Ok(Change { at, object: Object(event["object"].take()) })).is_err() {
            return Ok(());
        }
    }
    Err("the server ended it".to_owned())
}

impl Object {
    pub(crate) fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Which version of it was written.
    pub(crate) fn generation(&self) -> u64 {
        self.0["metadata"]["generation"].as_u64().unwrap_or_default()
    }

    /// Whether this version of it is as wished, and serves.
    pub(crate) fn is_ready(&self) -> bool {
        let status = &self.0["status"];
        let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        status["observedGeneration"] == self.0["metadata"]["generation"] && conditions.iter().any(is_ready)
    }
}

impl Watch {
    /// The next change.
    pub(crate) fn next(&self, waiting_for: &str) -> Result<Change, Problem> {
        let heard = self.0.recv_timeout(PATIENCE).map_err(|error| format!("waiting for {waiting_for}: {error}"))?;
        Ok(heard.map_err(|problem| format!("the watch ended: {problem}"))?)
    }

    /// The first change that is like that.
    pub(crate) fn until(&self, what: &str, is: impl Fn(&Object) -> bool) -> Result<Change, Problem> {
        loop {
            let change = self.next(what)?;
            if is(&change.object) {
                return Ok(change);
            }
        }
    }

    /// When so many objects were ready for the first time.
    pub(crate) fn until_ready(&self, count: usize) -> Result<Instant, Problem> {
        let mut ready = std::collections::BTreeSet::new();
        loop {
            let Change { at, object } = self.next(&format!("{count} objects to be ready, {} are", ready.len()))?;
            if object.is_ready() {
                ready.insert(object.name().to_owned());
            }
            if ready.len() >= count {
                return Ok(at);
            }
        }
    }
}
