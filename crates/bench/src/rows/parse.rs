//! Documents → checked units, against no more than the YAML parser's events of the same bytes.

use super::Row;
use crate::{
    Problem,
    figure::{Figure, Statistic, Unit},
    measure::{Duel, cpu},
};
use abide_spec::{Context, MemoryTree, Name, kind::Grants, parse};
use serde_yaml::granit_parser::Parser;
use std::sync::Arc;

pub(crate) const ROW: Row = Row { name: "parse", what: "parsing and validating 10,000 documents (CPU)", measure };

const FILES: usize = 100;
const DOCUMENTS_A_FILE: usize = 100;
const TURNS: usize = 15;

fn measure() -> Result<Vec<Figure>, Problem> {
    let tree = MemoryTree((0..FILES).map(|n| (format!("apps/{n:03}.yaml"), Arc::from(file(n).as_bytes()))).collect());
    let scope = Name::new("bench")?;
    let grants = Grants::default();
    let context = Context::plain(&scope, &grants);
    let ours = || {
        let (parsed, time) = cpu(|| parse(&tree, context));
        let units = parsed.map_err(|mistakes| mistakes[0].to_string())?.units.len();
        // Two documents a file are a ConfigMap and a Secret: what they say is in the units.
        if units == FILES * (DOCUMENTS_A_FILE - 2) { Ok(time) } else { Err(format!("there are {units} units").into()) }
    };
    let bare = || {
        let (events, time) = cpu(|| tree.0.values().try_fold(0, |sum, bytes| Ok::<_, Problem>(sum + events(bytes)?)));
        events.map(|_| time)
    };
    let duel = Duel::fight(TURNS, ours, bare)?;
    let bytes: usize = tree.0.values().map(|bytes| bytes.len()).sum();
    Ok(vec![
        Figure::new(format!("parse and validate {bytes} bytes"), Unit::Milliseconds, duel.ours)
            .at_most(Statistic::Median, 400.0),
        Figure::new("the parser's events alone", Unit::Milliseconds, duel.peers),
        Figure::new("ratio", Unit::Times, duel.ratio).at_most(Statistic::Median, 3.0),
    ])
}

fn events(bytes: &[u8]) -> Result<usize, Problem> {
    let mut count = 0;
    for event in Parser::new_from_str(std::str::from_utf8(bytes)?) {
        event?;
        count += 1;
    }
    Ok(count)
}

/// Documents as people write them: a ConfigMap, a Secret, volumes, and containers that use all of these.
fn file(n: usize) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings-{n}}}\ndata:\n  log: info\n  web.conf: |\n    \
         listen 8080\n    root /srv\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: keys-{n}}}\nstringData:\n  \
         password: not so secret\n"
    );
    for unit in 2..DOCUMENTS_A_FILE {
        text.push_str("---\n");
        text.push_str(&if unit % 10 == 2 { volume(n, unit) } else { container(n, unit) });
    }
    text
}

fn volume(file: usize, unit: usize) -> String {
    format!(
        "apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata:\n  name: data-{file}-{unit}\n  labels: {{app: shop}}\n"
    )
}

fn container(file: usize, unit: usize) -> String {
    let need = if unit % 10 == 3 {
        format!("Volume/data-{file}-{}", unit - 1)
    } else {
        format!("Container/web-{file}-{}", unit - 1)
    };
    format!(
        "apiVersion: abide.dev/v1alpha1
kind: Container
metadata:
  name: web-{file}-{unit}
  labels: {{app: shop, tier: front}}
spec:
  image: registry.example.org/shop/web:1.{unit}
  command: [\"/usr/bin/web\"]
  args: [\"--port=8080\", \"--name=web-{file}-{unit}\"]
  env:
    LOG: {{configMap: settings-{file}, key: log}}
    PASSWORD: {{secret: keys-{file}, key: password}}
    MODE: {{value: production}}
  ports:
    - {{port: 8080}}
  volumes:
    - {{configMap: settings-{file}, mountPath: /etc/web, readOnly: true}}
    - {{tmpfs: 16Mi, mountPath: /tmp}}
  resources: {{cpu: 1500m, memory: 256Mi, pids: 200}}
  readiness:
    http: {{port: 8080, path: /healthz}}
    interval: 2s
    startPeriod: 10s
  dependsOn:
    - unit: {need}
"
    )
}
