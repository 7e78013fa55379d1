//! The documents that tests push, as a user would write them.

/// A volume that holds files.
pub(crate) fn volume(name: &str) -> String {
    format!("apiVersion: abide.dev/v1alpha1\nkind: Volume\nmetadata: {{name: {name}}}\n")
}

/// A container of the image `images/hello` that says `greeting` on this host port when it is ready. `more` is of its `spec`, a line
/// each, indented by two.
pub(crate) fn web(name: &str, greeting: &str, port: u16, more: &str) -> String {
    format!(
        "apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {{name: {name}}}
spec:
  image: oci:images/hello
  env: {{GREETING: {{value: {greeting}}}}}
  ports: [{{port: 8080, hostPort: {port}}}]
  readiness: {{http: {{port: 8080, path: /healthz}}, interval: 1s}}
{more}"
    )
}

/// The same, which counts its starts in a volume: so two can't run at once.
pub(crate) fn keeping(name: &str, greeting: &str, port: u16, volume: &str) -> String {
    let mounted = format!("  volumes: [{{volume: {volume}, mountPath: /data}}]\n");
    web(name, greeting, port, &mounted).replace("env: {", "env: {DATA: {value: /data}, ")
}

/// A virtual machine that boots `images/guest`, which answers HTTP on this host port.
pub(crate) fn machine(name: &str, port: u16) -> String {
    format!(
        "apiVersion: abide.dev/v1alpha1
kind: VirtualMachine
metadata: {{name: {name}}}
spec:
  boot: {{kernel: {{file: images/guest}}}}
  resources: {{cpu: 1, memory: 64Mi}}
  ports: [{{port: 80, hostPort: {port}}}]
"
    )
}
