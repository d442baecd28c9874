//! Agents of ssh that commands find at a socket.

use std::os::unix::net::UnixListener;

use super::Builds;
use crate::need_programs;

#[test]
fn an_agents_socket_has_the_owner_and_the_mode_that_are_asked_for() {
    let Some(it) = Builds::new() else { return };
    let listener = UnixListener::bind(it.path("agent")).unwrap();
    let stat = "stat -c \"%a %u:%g\" $SSH_AUTH_SOCK";
    it.builds(
        &format!(
            "FROM bb\nRUN --mount=type=ssh {stat} > /a; test -S $SSH_AUTH_SOCK\n\
             RUN --mount=type=ssh,uid=7,gid=8 {stat} >> /a\n\
             RUN --mount=type=ssh,id=default,mode=0666,target=/s {stat} >> /a; echo $SSH_AUTH_SOCK >> /a\n"
        ),
        "--ssh default=agent",
    );
    let shown = it.shows("tail -n 3 /a");
    assert_eq!(shown, "600 7:8\n666 0:0\n/s");
    drop(listener);
}

#[test]
fn keys_from_files_are_behind_a_socket() {
    need_programs!("ssh-keygen");
    let Some(it) = Builds::new() else { return };
    let key = |name: &str, word: &str| {
        let mut make = it.program("ssh-keygen");
        let made = make.args(["-q", "-t", "ed25519", "-N", word, "-f", name]).status().unwrap();
        assert!(made.success());
    };
    key("key", "");
    let file =
        "FROM bb\nRUN --mount=type=ssh,required=true stat -c \"%F %a %u\" $SSH_AUTH_SOCK > /a\n";
    it.builds(file, "--ssh default=key");
    assert_eq!(it.shows("cat /a"), "socket 600 0");
    let left = it.path("run").join("builds");
    let left = std::fs::read_dir(left).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the socket goes with the build");
    key("locked", "passphrase");
    it.build(file, "--ssh default=locked")
        .complains(1, "cannot read the ssh key locked: it is protected by a passphrase");
    it.build(file, "--ssh default=ctx/Dockerfile").complains(1, "it is no private key");
    it.build(file, "--ssh default=nosuch").complains(1, "no such file or directory");
}
