//! Pushes by ssh, as other users than the agent's.

use crate::{documents::volume, started};
use abide_lab::{
    Repository, Said, Ssh,
    ssh::{GROUP, MEMBER, STRANGER},
};

fn push(repository: &Repository, ssh: &Ssh, user: &str) -> Said {
    let url = ssh.url(user, &repository.bare);
    repository.command(&["push", &url, "main"]).env("GIT_SSH_COMMAND", ssh.command()).output().unwrap().into()
}

#[test]
fn members_of_the_group_may_push_and_strangers_may_not() {
    let mut rig = started();
    let ssh = Ssh::start();
    let repository = rig.repository_of("infra", GROUP);
    repository.write("a.yaml", &volume("a"));
    let commit = repository.commit("by a member");
    let said = push(&repository, &ssh, STRANGER);
    assert_ne!(said.code, 0, "{said}");
    let said = push(&repository, &ssh, MEMBER);
    assert!(said.code == 0 && said.err.contains("settled"), "{said}");
    assert_eq!(rig.settled().source("infra").commit, commit);

    repository.write("b.yaml", "kind: Volume\n");
    repository.commit("a mistake");
    let said = push(&repository, &ssh, MEMBER);
    assert!(said.code != 0 && said.err.contains("b.yaml:1:1: "), "{said}");

    rig.stop();
    repository.write("b.yaml", &volume("b"));
    let commit = repository.commit("by a member, while no agent runs");
    let said = push(&repository, &ssh, MEMBER);
    assert!(said.code == 0 && said.err.contains("no agent runs here"), "{said}");
    rig.start();
    rig.wait("it is deployed", |now| now.settled && now.source("infra").commit == commit);
    rig.end();
}
