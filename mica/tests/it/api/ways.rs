//! The ways to an engine elsewhere: contexts, TLS and ssh.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use super::elsewhere::Here;
use super::support::{Server, served_by_tls};
use crate::containers::support::{Root, kill};
use crate::need_programs;
use crate::support::{Mica, Run, words};

#[test]
fn contexts_are_dockers_own() {
    need_programs!("docker");
    let mica = Mica::new();
    mica.import("there:1");
    let server = Server::start(&mica);
    let here = Here::new(&server);
    let (own, host) = (&here.mica, &here.host);
    let docker =
        |line: &str| Run::of(line, own.program("docker").args(words(line)).output().unwrap());
    let created = own.run(&format!("context create far --description there --docker host={host}"));
    assert_eq!((created.out.as_str(), created.code), ("far\n", 0), "{created}");
    assert_eq!(created.err, "Successfully created context \"far\"\n");
    own.run("context create far").complains(1, "context \"far\" already exists");
    own.run("context create default").complains(1, "reserved");
    own.run("context create xx --docker host=nonsense://")
        .complains(1, "unable to parse docker host");
    assert_eq!(docker("--context far images -q").out, own.ok("-c far images -q") + "\n");
    for line in ["context ls", "context inspect far", "context show", "context ls -q"] {
        assert_eq!(own.run(line).out, docker(line).out, "{line}");
    }
    assert_eq!(own.run("context use far").out, "far\n");
    assert_eq!(docker("context show").out, "far\n");
    assert!(own.ok("images").contains("there"));
    own.run("context rm far").complains(1, "is in use, set -f flag to force remove");
    assert_eq!(own.run("context export far").code, 0);
    assert_eq!(docker("context import two far.dockercontext").out, "two\n");
    docker("context export two two.tar");
    own.run("context import three two.tar");
    let place =
        |name: &str| own.ok(&format!("context inspect -f '{{{{.Endpoints.docker.Host}}}}' {name}"));
    assert_eq!(place("three"), *host);
    own.run("context update three --description new --docker host=ssh://me@there");
    assert_eq!(place("three"), "ssh://me@there");
    assert!(docker("context ls").out.contains("ssh://me@there"));
    assert_eq!(own.run("context rm -f far two three").out, "far\ntwo\nthree\n");
    assert_eq!(docker("context show").out, "default\n");
    own.run("context rm default").complains(1, "cannot be removed");
    own.run("-c gone images").complains(1, "context \"gone\": context not found");
    assert_eq!(own.ok("images -q"), "");
}

#[test]
fn an_engine_behind_tls_is_asked_with_certificates() {
    need_programs!("openssl");
    let Some(root) = Root::new() else { return };
    let (mut child, host) = served_by_tls(&root);
    let proven = "--tlsverify --tlscacert ca.pem --tlscert key.crt --tlskey key.key";
    let run = |flags: &str, line: &str| root.run(&format!("-H {host} {flags} {line}"));
    run(proven, "run --rm --network none bb echo hello").prints("hello\n");
    let mut fed = root.command(&format!("-H {host} {proven} run -i --rm --network none bb wc -c"));
    let mut fed = fed.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    fed.stdin.take().unwrap().write_all(&vec![7; 1 << 20]).unwrap();
    assert_eq!(fed.wait_with_output().unwrap().stdout, b"1048576\n");
    let loose = "--tls --tlscert key.crt --tlskey key.key";
    run(loose, "images -q").prints(&format!("{}\n", root.ok("images -q")));
    run("--tlsverify --tlscacert server.crt --tlscert key.crt --tlskey key.key", "images")
        .complains(1, "cannot speak TLS");
    assert_ne!(run("--tls", "images").code, 0);
    run("", "images").complains(1, "");
    // A context keeps them.
    let port = host.strip_prefix("tcp://").unwrap();
    let docker = format!("host=tcp://{port},ca=ca.pem,cert=key.crt,key=key.key");
    assert_eq!(root.run(&format!("context create far --docker {docker}")).out, "far\n");
    fs::remove_file(root.path("key.key")).unwrap();
    assert_eq!(root.ok("-c far images -q"), root.ok("images -q"));
    kill(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_engine_is_asked_by_way_of_ssh() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let here = Here::new(&server);
    // A machine that is this one: what ssh would run there runs here, with the engine's socket.
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> '{0}'\nwhile test \"$1\" != --; do shift; done; shift 2\nDOCKER_HOST={1} PATH='{2}' exec \"$@\"\n",
        here.mica.path("asked").display(),
        here.host,
        here.mica.path("bin").display(),
    );
    let ssh = here.mica.file("bin/ssh", script);
    fs::set_permissions(&ssh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    symlink(env!("CARGO_BIN_EXE_mica"), here.mica.path("bin/docker")).unwrap();
    let run = |line: &str| {
        let mut command = here.mica.command(&format!("-H ssh://me@there:77 {line}"));
        let path = format!("{}:/usr/bin:/bin", here.mica.path("bin").display());
        Run::of(line, command.env("PATH", path).output().unwrap())
    };
    let ran = run("run --rm --network none bb sh -c 'echo hello; exit 6'");
    assert_eq!((ran.out.as_str(), ran.code), ("hello\n", 6), "{ran}");
    assert_eq!(run("images -q").out, format!("{}\n", root.ok("images -q")));
    let asked = fs::read_to_string(here.mica.path("asked")).unwrap();
    assert!(asked.lines().all(|line| {
        line == "-o ConnectTimeout=30 -T -l me -p 77 -- there docker system dial-stdio"
    }));
    run("volume clone a b").complains(1, "ssh://me@there:77 is meant");
    // Docker's own client goes the same way.
    need_programs!("docker");
    let mut docker = here.mica.program("docker");
    let path = format!("{}:/usr/bin:/bin", here.mica.path("bin").display());
    docker.env("PATH", path).args(["-H", "ssh://me@there:77", "images", "-q"]);
    assert_eq!(Run::of("docker", docker.output().unwrap()).out, root.ok("images -q") + "\n");
}
