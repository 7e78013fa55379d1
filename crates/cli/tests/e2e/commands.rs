//! What people ask of one unit: what it printed, what happened to it, a program in it, its serial line.

use crate::{documents::machine, started, terminal::Terminal};
use abide_host::terminal::Window;
use abide_lab::{Rig, Said, host_port, oci};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

/// What nobody may be shown.
const PASSWORD: &str = "correct-horse";

/// A shell that says what it is told by `/tmp/told`, and exits when it is told to leave.
const TALKER: &str = r#"apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: correct-horse}
---
apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {name: talker}
spec:
  image: oci:images/busybox
  env: {PASSWORD: {secret: login, key: password}}
  command: [/bin/sh, -c]
  args:
    - |
      trap 'exit 0' TERM
      mkfifo /tmp/told
      echo careful >&2
      echo here
      exec 3<> /tmp/told
      while read -r what <&3; do
        echo "said $what"
        test "$what" = leave && exit 7
      done
"#;

#[test]
fn a_unit_is_looked_at_and_talked_to() {
    let rig = started();
    let port = host_port();
    let repository = rig.repository("infra");
    repository.image("busybox", &oci::busybox());
    repository.guest();
    repository.write("talker.yaml", TALKER);
    repository.write("guest.yaml", &machine("guest", port.number));
    repository.deploy("one to talk to, and a machine");
    rig.settled();

    logs(&rig);
    programs(&rig);
    terminals(&rig);
    serial_lines(&rig);
    descriptions(&rig);
    rig.end();
}

/// A command whose output is read while it runs.
struct Running {
    child: Child,
    /// None once nobody reads any more.
    lines: Option<BufReader<ChildStdout>>,
}

impl Running {
    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = child.stdout.take().map(BufReader::new);
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.as_mut().unwrap().read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tell(rig: &Rig, what: &str) {
    let said = rig.abide(&["exec", "talker", "--", "sh", "-c", &format!("echo {what} > /tmp/told")]);
    // Who tells it to leave may be ended with it, even before anybody heard that it was started.
    assert!(said.code == 0 || what == "leave", "{said}");
}

/// Runs a command that is told something.
fn piped(mut command: Command, input: &str) -> Said {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

fn logs(rig: &Rig) {
    let lines = |arguments: &[&str]| -> Vec<String> {
        rig.must(&[&["logs", "talker"], arguments].concat()).lines().map(str::to_owned).collect()
    };
    rig.until("both its streams are noted", || (lines(&[]).len() == 2).then_some(()));
    tell(rig, "one");
    let mut follower = Running::of(rig.command(&["logs", "-f", "talker"]));
    let first: BTreeSet<String> = [follower.line(), follower.line()].into();
    assert_eq!(first, ["careful".to_owned(), "here".to_owned()].into());
    assert_eq!(follower.line(), "said one");
    tell(rig, "two");
    assert_eq!(follower.line(), "said two");

    let cases: [(&[&str], &[&str]); 5] = [
        (&["--tail", "2"], &["said one", "said two"]),
        (&["--tail", "0"], &[]),
        // What was printed before this command began is older than that.
        (&["--since", "1ms"], &[]),
        (&["--since", "1h", "--tail", "1"], &["said two"]),
        (&["--tail", "1"], &["said two"]),
    ];
    for (arguments, expected) in cases {
        assert_eq!(lines(arguments), expected, "{arguments:?}");
    }
    let parsed = lines(&["-o", "json"]).into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let streams: BTreeSet<_> = parsed.map(|line| (line["stream"].to_string(), line["text"].to_string())).collect();
    assert!(streams.contains(&("\"stderr\"".to_owned(), "\"careful\"".to_owned())), "{streams:?}");
    assert!(streams.contains(&("\"stdout\"".to_owned(), "\"here\"".to_owned())), "{streams:?}");

    // It goes on with the instance that comes after.
    tell(rig, "leave");
    assert_eq!(follower.line(), "said leave");
    let next: BTreeSet<String> = [follower.line(), follower.line()].into();
    assert_eq!(next, first);
    rig.wait("it runs again", |now| now.settled && now.unit("Container/talker").restarts == 1);
    assert_eq!(lines(&["--previous", "--tail", "1"]), ["said leave"]);
    assert_eq!(lines(&[]).len(), 2);

    // Nobody reads any more.
    follower.lines = None;
    tell(rig, "three");
    assert!(follower.child.wait().unwrap().success());
}

fn programs(rig: &Rig) {
    let cat = piped(rig.command(&["exec", "talker", "--", "cat"]), "abc");
    assert_eq!(cat, Said { code: 0, out: "abc".to_owned(), err: String::new() });
    let both = rig.abide(&["exec", "talker", "--", "sh", "-c", "echo out; echo err >&2; tty; exit 9"]);
    assert_eq!(both, Said { code: 9, out: "out\nnot a tty\n".to_owned(), err: "err\n".to_owned() });
    let killed = rig.abide(&["exec", "talker", "--", "sh", "-c", "kill -KILL $$"]);
    assert_eq!(killed.code, 128 + 9, "{killed}");

    let wrong: [(&[&str], i32, &str); 8] = [
        (&["exec", "talker", "--", "nothing-like-it"], 127, "could not execute nothing-like-it: "),
        (&["exec", "talker", "--", "/nothing/like-it"], 127, "could not execute /nothing/like-it: "),
        (&["exec", "talker", "--", "/tmp"], 126, "could not execute /tmp: "),
        (&["exec", "talkre", "--", "true"], 3, "did you mean infra:Container/talker?"),
        (&["exec", "guest", "--", "true"], 3, "`abide console`"),
        (&["console", "talker"], 3, "no serial line"),
        (&["describe", "VirtualMachine/talker"], 3, "there is no unit"),
        (&["exec", "talker"], 64, "Usage"),
    ];
    for (arguments, code, text) in wrong {
        let said = rig.abide(arguments);
        assert!(said.code == code && said.err.contains(text), "{arguments:?}: {said}");
    }
}

fn terminals(rig: &Rig) {
    let command = rig.command(&["exec", "talker", "--", "sh"]);
    let mut terminal = Terminal::run(&command, Window { rows: 31, columns: 97 });
    let prompt = "# ";
    terminal.sees(prompt);
    terminal.types("stty size; tty\r");
    terminal.sees("\r\n31 97\r\n/dev/");
    terminal.resize(Window { rows: 40, columns: 120 });
    terminal.sees(prompt);
    // Nobody says when the program was told.
    terminal.types("until stty size | grep '40 120'; do true; done\r");
    terminal.sees("\r\n40 120\r\n");
    // Ctrl-C is the program's, not the command's that carries it.
    terminal.sees(prompt);
    terminal.types("sh -c 'echo begun; exec cat'\r");
    terminal.sees("\r\nbegun\r\n");
    terminal.types("\x03");
    terminal.sees(prompt);
    terminal.types("echo after $((40 + 2))\r");
    terminal.sees("after 42\r\n");
    terminal.sees(prompt);
    terminal.types("exit 5\r");
    assert_eq!(terminal.ends(), Some(5));
}

fn serial_lines(rig: &Rig) {
    let said = piped(rig.command(&["console", "guest"]), "echo over a pipe\n");
    assert!(said.code == 0 && said.out.contains("over a pipe"), "{said}");

    let command = rig.command(&["console", "VirtualMachine/guest"]);
    let mut terminal = Terminal::run(&command, Window { rows: 24, columns: 80 });
    terminal.sees("ctrl-] leaves it");
    terminal.types("echo by hand\r");
    terminal.sees("by hand");
    terminal.types("\x1d");
    assert_eq!(terminal.ends(), Some(0));
    assert!(rig.must(&["logs", "guest"]).contains("over a pipe"));
}

fn descriptions(rig: &Rig) {
    let text = rig.must(&["describe", "talker"]);
    for part in ["infra:Container/talker", "instances", "as it runs", "events", "oci:images/busybox", "exited with 7"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    let json = rig.must(&["describe", "talker", "-o", "json"]);
    let known: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(known["unit"]["restarts"], 1, "{json}");
    assert_eq!(known["source"]["name"], "infra", "{json}");

    let events = rig.must(&["events", "-o", "json"]);
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_exit = |event: &&Value| event["kind"] == "exited" && event["unit"] == "Container/talker";
    assert_eq!(events.iter().filter(is_exit).count(), 1, "{events:?}");
    let mut follower = Running::of(rig.command(&["events", "-f", "-o", "json"]));
    (0..events.len()).for_each(|_| drop(follower.line()));
    tell(rig, "leave");
    let exit = (0..100).map(|_| serde_json::from_str::<Value>(&follower.line()).unwrap()).find(|event| is_exit(&event));
    assert!(exit.is_some());

    let said = [text, json, rig.must(&["events"]), rig.must(&["get", "-o", "json"]), rig.log()].concat();
    assert!(!said.contains(PASSWORD), "{said}");
    keys(&rig.must(&["get", "-o", "json"]));
    let doctor: Value = serde_json::from_str(&rig.must(&["doctor", "-o", "json"])).unwrap();
    let agent = doctor["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == "agent");
    assert_eq!((&doctor["healthy"], &agent.unwrap()["found"]), (&true.into(), &"runs".into()));
}

/// What programs of others rely on.
fn keys(json: &str) {
    let snapshot: Value = serde_json::from_str(json).unwrap();
    let unit = &snapshot["units"][0];
    let cases: [(&Value, &[&str]); 4] = [
        (&snapshot, &["settled", "sources", "units"]),
        (&snapshot["sources"][0], &["name", "commit", "generation", "state", "message"]),
        (unit, &["scope", "kind", "name", "index", "state", "ready", "waiting", "message", "restarts", "addresses"]),
        (&unit["instances"][0], &["id", "role", "state", "pid", "exit_code"]),
    ];
    for (value, keys) in cases {
        let missing: Vec<_> = keys.iter().filter(|key| value.get(**key).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?} is not in {value}");
    }
}

#[test]
fn shells_are_told_what_there_is() {
    let rig = Rig::new(env!("CARGO_BIN_EXE_abide"));
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = rig.must(&["completions", shell]);
        assert!(["rollback", "describe", "since"].iter().all(|word| script.contains(word)), "{shell}");
        let is_told = |name: &str| script.contains(name);
        assert!(!["vmm", "fetch", "keeper"].into_iter().any(is_told), "{shell} is told what isn't for people");
    }
}
