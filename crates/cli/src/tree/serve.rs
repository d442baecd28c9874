//! `serve`.

use super::Cmd;
use crate::args::{Arity, Command, Complete, Flag};
use crate::commands as run;

pub(super) static SERVE: Cmd = Command {
    name: "serve",
    usage: "[OPTIONS]",
    about: "Serve docker's API until SIGTERM or SIGINT",
    examples: "  mica serve\n  mica serve -H unix:///run/mica.sock\n  DOCKER_HOST=unix:///run/mica.sock docker ps",
    args: Arity::None,
    flags: &[&[
        Flag::bool("allow-plain-tcp", "Let whoever reaches a TCP port be root of this machine"),
        Flag::string("group", "Group that may use the socket").short('G').default_value("docker"),
        Flag::list(
            "host",
            "Where to listen: unix://PATH, tcp://HOST:PORT, or fd:// for sockets of systemd",
        )
        .short('H')
        .value("list"),
        Flag::string("pidfile", "File for the process id").short('p').complete(Complete::Files),
        Flag::string("tlscacert", "Trust clients whose certificates this authority signed (PEM)")
            .complete(Complete::Files),
        Flag::string("tlscert", "The server's certificate (PEM)").complete(Complete::Files),
        Flag::string("tlskey", "The certificate's key (PEM)").complete(Complete::Files),
        Flag::bool("tlsverify", "Serve TCP with TLS, to clients that prove who they are"),
    ]],
    action: Some(run::serve::run),
    ..Command::BLANK
};
