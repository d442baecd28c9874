//! Mica's own command line against an engine elsewhere: `mica serve` over a socket.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use sys::terminal::Size;
use testkit::free_port;

use super::support::Server;
use crate::containers::support::{Root, eventually, kill};
use crate::containers::terminal::Terminal;
use crate::need_programs;
use crate::support::{Mica, Run};

/// A server that ends with the test, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        kill(self.0.id(), "TERM");
        let _ = self.0.wait();
    }
}

/// Mica over a store of its own, which asks an engine elsewhere.
pub(super) struct Here {
    pub(super) mica: Mica,
    pub(super) host: String,
}

impl Here {
    pub(super) fn new(server: &Server<'_>) -> Here {
        Here { mica: Mica::new(), host: format!("unix://{}", server.socket().display()) }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.mica.command(line);
        command.env("DOCKER_HOST", &self.host);
        command
    }

    fn run(&self, line: &str) -> Run {
        Run::of(line, self.command(line).output().unwrap())
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let run = self.run(line);
        assert_eq!(run.code, 0, "{run}");
        run.out.strip_suffix('\n').unwrap_or(&run.out).to_owned()
    }

    fn fed(&self, line: &str, input: &[u8]) -> Run {
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Run::of(line, child.wait_with_output().unwrap())
    }
}

#[test]
fn a_container_elsewhere_is_as_one_here() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let here = Here::new(&server);
    let run = |words: &str| here.run(&format!("run --rm --network none {words}"));
    run("bb echo hello").prints("hello\n");
    let both = run("bb sh -c 'echo out; echo err >&2; exit 7'");
    assert_eq!((both.out.as_str(), both.err.as_str(), both.code), ("out\n", "err\n", 7));
    run("bb nosuch").complains(127, "executable file not found in $PATH");
    run("bb /etc").complains(126, "");
    run("--pull never nothing:1").complains(125, "No such image: nothing:1");
    let fed = here.fed("run -i --rm --network none bb cat", b"typed");
    assert_eq!((fed.out.as_str(), fed.code), ("typed", 0), "{fed}");
    here.ok("volume create --label k=v data");
    let line = "run -d --name one --network none --label a=b -p 81 -v data:/data bb sleep 600";
    let id = here.ok(line);
    for line in [
        "ps",
        "ps -a --no-trunc --format json",
        "ps --filter label=a=b -q",
        "inspect one",
        "inspect --type container -f '{{.State.Status}} {{.Id}}' one",
        "container inspect one",
        "port one",
        "ps --format '{{.Names}} {{.Labels}} {{.Label \"a\"}} {{.LocalVolumes}}'",
        "ps --format raw",
        "top one -o pid,args",
        "stats --no-stream --format '{{.Name}} {{.ID}} {{.PIDs}} {{.Container}}' one",
        "history bb",
        "history --human=false --no-trunc bb",
        "network ls",
        "network ls --no-trunc --format json",
        "network ls -q --filter driver=host",
        "volume ls",
        "volume ls --format '{{.Name}} {{.Labels}} {{.Label \"k\"}}'",
        "volume ls -q --filter name=data",
        "volume inspect data",
        "system df --format '{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}'",
        "system df -v --format '{{range .Volumes}}{{.Name}} {{.Links}} {{.Size}};{{end}}'",
        "info -f '{{.ClientInfo.Version}} {{.ID}} {{.HTTPProxy}}'",
        "version -f '{{.Client.APIVersion}} {{.Client.Context}}'",
        "images",
        "images --digests --no-trunc",
        "images ''",
        "images -q bb",
        "image inspect bb",
        "inspect bb",
        "network inspect bridge",
        "inspect nothing",
        "inspect ''",
        "network inspect ''",
        "volume inspect nothing",
        "network rm nothing",
        "volume rm nothing",
        "rename nothing other",
        "rm -f nothing",
        "cp nothing:/x y",
        "port one 99",
        "commit nothing",
        "update nothing",
        "create --isolation odd bb",
        "create --mount type=odd,dst=/x bb",
        "rm one",
        "rmi nothing",
        "logs nothing",
    ] {
        let (near, far) = (root.run(line), here.run(line));
        assert_eq!(
            (near.code, timeless(&near.out)),
            (far.code, timeless(&far.out)),
            "{line}\n{near}\n{far}"
        );
        assert_eq!(near.err.lines().next(), far.err.lines().next(), "{line}");
    }
    assert_eq!(here.ok("exec -e A=7 one sh -c 'echo $A'"), "7");
    assert_eq!(here.run("exec one sh -c 'exit 9'").code, 9);
    here.ok("exec -d one touch /tmp/done");
    eventually("it is done", || here.run("exec one test -e /tmp/done").code == 0);
    here.ok("pause one");
    here.run("exec one true").complains(1, "is paused");
    here.ok("unpause one");
    here.ok("rename one two");
    here.ok("restart -t 0 two");
    assert_eq!(here.ok("stop -t 0 two"), "two");
    assert_eq!(here.ok("wait two"), "137");
    here.ok("start two");
    here.ok("kill two");
    assert_eq!(here.ok("rm two"), "two");
    here.run("rm two").complains(1, "No such container: two");
    assert_eq!(root.ok("ps -aq"), "");
    assert!(!id.is_empty() && !here.mica.root().exists(), "nothing was made here");
}

/// What was said, but for how many seconds ago things were: one may begin between two looks.
fn timeless(text: &str) -> String {
    if !text.contains(" second") {
        return text.to_owned();
    }
    let text =
        text.replace("Less than a second", "0 seconds").replace("About a minute", "60 seconds");
    let parts = text.split(" second").map(|part| part.trim_start_matches('s'));
    let numberless =
        parts.map(|part| part.trim_end_matches(|letter: char| letter.is_ascii_digit()));
    let numberless = numberless.collect::<Vec<_>>().join(" seconds");
    // A column is as wide as what stands in it.
    numberless.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[test]
fn files_go_to_containers_elsewhere_and_come_back() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let here = Here::new(&server);
    here.ok("create --name one --network none bb sleep 600");
    here.mica.file("from/sub/file", "text");
    here.mica.file("word", "said");
    let put = |from: &str, to: &str| assert_eq!(here.ok(&format!("cp {from} one:{to}")), "");
    let holds = |path: &str, wanted: &str| {
        here.ok(&format!("cp one:{path} back"));
        assert_eq!(fs::read_to_string(here.mica.path("back")).unwrap(), wanted, "{path}");
    };
    put("word", "/tmp");
    put("word", "/tmp/other");
    put("from", "/tmp");
    put("from/.", "/tmp/new");
    put("from/sub", "/tmp/new");
    holds("/tmp/word", "said");
    holds("/tmp/other", "said");
    holds("tmp/from/sub/file", "text");
    holds("/tmp/new/sub/file", "text");
    here.ok("cp one:/tmp/from whole");
    here.ok("cp one:/tmp/from/. whole");
    here.ok("cp one:/tmp/from whole");
    for path in ["whole/sub/file", "whole/from/sub/file"] {
        assert_eq!(fs::read_to_string(here.mica.path(path)).unwrap(), "text", "{path}");
    }
    // A tar through both ends, and a link that is followed.
    let tar = here.command("cp one:/tmp/from -").output().unwrap().stdout;
    here.ok("start one");
    here.ok("exec one mkdir /tmp/tar");
    assert_eq!(here.fed("cp - one:/tmp/tar", &tar).code, 0);
    holds("/tmp/tar/from/sub/file", "text");
    here.ok("exec one ln -s from/sub /tmp/link");
    here.ok("cp -L one:/tmp/link linked");
    assert_eq!(fs::read_to_string(here.mica.path("linked/file")).unwrap(), "text");
    put("word", "/tmp/link");
    holds("/tmp/from/sub/word", "said");
    here.run("cp one:/none x").complains(1, "Could not find the file /none in container one");
    here.run("cp from one:/tmp/word").complains(1, "cannot copy directory");
    here.run("cp word one:/none/").complains(1, "no such directory");
    here.run("cp one:/tmp/from word").complains(1, "cannot copy directory");
    here.run("cp one:/a one:/b").complains(1, "copying between containers is not supported");
    let changed = here.ok("diff one");
    assert!(changed.contains("C /tmp\n") && changed.contains("A /tmp/other"), "{changed}");
    let exported = here.command("export one").output().unwrap().stdout;
    here.ok("export -o one.tar one");
    assert_eq!(fs::metadata(here.mica.path("one.tar")).unwrap().len(), exported.len() as u64);
    here.ok("rm -f one");
}

#[test]
fn what_is_made_elsewhere_is_of_there() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let here = Here::new(&server);
    // An image from a container, and one from a tar.
    here.ok("run --name one --network none bb touch /made");
    let id = here.ok("commit -m said -a me -c 'CMD [\"ls\", \"/made\"]' one made:1");
    assert_eq!(
        root.ok("image inspect -f '{{.Id}} {{.Author}} {{.Comment}}' made:1"),
        format!("{id} me said")
    );
    here.run("run --rm --network none made:1").prints("/made\n");
    here.ok("export -o one.tar one");
    let imported = here.ok("import -c 'ENV A=7' -m in one.tar taken:2");
    assert_eq!(root.ok("images -q --no-trunc taken"), imported);
    assert_eq!(root.ok("image inspect -f '{{.Config.Env}}' taken:2"), "[A=7]");
    // Networks and volumes.
    let subnet = "--subnet 10.231.7.0/24 --ip-range 10.231.7.128/25 --gateway 10.231.7.1";
    let net = here.ok(&format!("network create {subnet} --label n=m --internal inner"));
    assert_eq!(
        root.ok("network inspect -f '{{.Id}} {{.Internal}} {{.Labels.n}}' inner"),
        format!("{net} true m")
    );
    assert!(root.ok("network inspect inner").contains("10.231.7.128/25"));
    here.run("network connect inner one").complains(1, "in private (none) mode");
    here.ok("create --name two bb true");
    here.ok("network connect --alias other --ip 10.231.7.200 inner two");
    let address = "{{.NetworkSettings.Networks.inner.IPAMConfig.IPv4Address}}";
    assert_eq!(root.ok(&format!("inspect -f '{address}' two")), "10.231.7.200");
    here.ok("network disconnect inner two");
    here.ok("rm two");
    assert_eq!(here.ok("network rm inner"), "inner");
    here.run("network rm -f inner").prints("");
    assert_eq!(here.ok("volume create -d local --label k=v data"), "data");
    here.run("volume rm nothing data").complains(1, "no such volume");
    assert_eq!(root.ok("volume ls -q"), "");
    // Limits change, and what is not used goes.
    here.ok("update --pids-limit 77 --restart no one");
    assert_eq!(root.ok("inspect -f '{{.HostConfig.PidsLimit}}' one"), "77");
    let pruned = here.ok("container prune -f");
    assert!(pruned.starts_with("Deleted Containers:\n"), "{pruned}");
    assert!(pruned.contains("Total reclaimed space:"), "{pruned}");
    here.ok("network create idle");
    assert_eq!(here.ok("network prune -f"), "Deleted Networks:\nidle\n");
    here.ok("volume create idle");
    assert!(here.ok("volume prune -f").starts_with("Total reclaimed"), "it has a name");
    assert!(here.ok("volume prune -af").starts_with("Deleted Volumes:\nidle\n"));
    here.ok("tag made:1 kept:1");
    assert!(here.ok("image prune -f").starts_with("Total reclaimed space: 0B"));
    let pruned = here.ok("system prune -af --volumes");
    assert!(pruned.contains("Deleted Images:\nuntagged: "), "{pruned}");
    assert_eq!(root.ok("images -q"), "");
    assert!(!here.mica.root().exists(), "nothing was made here");
}

#[test]
fn events_elsewhere_are_told_as_here() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let here = Here::new(&server);
    here.ok("run --rm --name one --network none bb true");
    eventually("all of it has happened", || {
        root.events("--filter event=destroy").contains("destroy")
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
    for flags in [
        "",
        "--format json --filter type=container",
        "--format '{{.Action}} {{.Actor.Attributes.name}}' --filter event=die",
    ] {
        let line = format!("events --since 1h --until {until} {flags}");
        let (near, far) = (root.run(&line), here.run(&line));
        assert_eq!((near.code, &near.out), (far.code, &far.out), "{line}\n{far}");
        assert!(!far.out.is_empty(), "{line}");
    }
    here.run("events --format '{{.Nope'").complains(64, "Error parsing format");
}

#[test]
fn logs_and_attachments_elsewhere() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let here = Here::new(&server);
    let script =
        "echo one; echo two >&2; while ! test -e /tmp/go; do sleep 0.02; done; echo three; exit 5";
    here.ok(&format!("run -d --name one --network none bb sh -c '{script}'"));
    let start = |line: &str| {
        let mut command = here.command(line);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (mut follow, mut attached) = (start("logs -f one"), start("attach --no-stdin one"));
    eventually("what is there is told", || {
        let run = here.run("logs one");
        (run.out.as_str(), run.err.as_str()) == ("one\n", "two\n")
    });
    eventually("it is attached", || root.events("--filter event=attach").contains("attach"));
    // Whoever is let go may end before the word that let it go.
    here.run("exec one touch /tmp/go");
    let mut said = String::new();
    follow.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "one\nthree\n");
    assert!(follow.wait().unwrap().success());
    assert_eq!(attached.wait().unwrap().code(), Some(5));
    here.run("logs --tail 1 one").prints("three\n");
    assert_eq!(here.ok("logs --since 1h -t one").lines().count(), 2);
    let again = here.run("start -a one");
    assert_eq!((again.out.as_str(), again.code), ("one\nthree\n", 5), "{again}");
    here.ok("rm one");
}

#[test]
fn a_terminal_elsewhere_is_left_and_met_again() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let here = Here::new(&server);
    let terminal = Terminal::new(Size { rows: 33, columns: 101 });
    let mut child = terminal.start(here.command("run --name one -it --network none bb sh"));
    terminal.shows("# ");
    terminal.types("while test \"$(stty size)\" != '33 101'; do sleep 0.02; done; echo si''zed\n");
    terminal.shows("sized");
    terminal.types("\x10\x11");
    assert!(child.wait().unwrap().success());
    assert_eq!(here.ok("ps --format '{{.Names}}'"), "one");
    let mut left = terminal.start(here.command("attach one"));
    let attached = || root.events("--filter event=attach").lines().count() == 2;
    eventually("it is attached", attached);
    terminal.types("\x10\x11");
    terminal.shows("read escape sequence\r\n");
    assert_eq!(left.wait().unwrap().code(), Some(1));
    let mut again = terminal.start(here.command("attach one"));
    terminal.types("echo he''re; exit 4\n");
    terminal.shows("here");
    assert_eq!(again.wait().unwrap().code(), Some(4));
    here.ok("start one");
    let mut exec = terminal.start(here.command("exec -it one sh -c 'tty; exit 3'"));
    terminal.shows("/dev/pts/1");
    assert_eq!(exec.wait().unwrap().code(), Some(3));
    here.ok("rm -f one");
}

#[test]
fn a_build_elsewhere_gets_its_context_from_here() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let here = Here::new(&server);
    let file = "FROM bb\nARG WORD=none\nCOPY . /in\nRUN test ! -e /in/left && echo $WORD > /word\n";
    here.mica.file("src/Dockerfile", file);
    here.mica.file("src/.dockerignore", "left\n");
    here.mica.file("src/left", "");
    here.mica.file("src/sub/taken", "text");
    let built = here.run("build -t made:1 -t made:2 --build-arg WORD=said --label x=y src");
    assert_eq!(built.code, 0, "{built}");
    assert!(built.out.contains("Step 4/4 : RUN test"), "{built}");
    assert!(built.out.ends_with("Successfully tagged made:1\nSuccessfully tagged made:2\n"));
    here.run("run --rm --network none made:2 cat /word /in/sub/taken").prints("said\ntext");
    let id = here.ok("build -q --iidfile id src");
    assert_eq!(fs::read_to_string(here.mica.path("id")).unwrap(), id);
    assert!(root.ok("image inspect -f '{{.Id}}' made:1").starts_with("sha256:"));
    // A Dockerfile from elsewhere, and one through standard input.
    here.mica.file("other", "FROM bb\nRUN exit 3\n");
    here.run("build -f other src").complains(3, "returned a non-zero code: 3");
    let fed = here.fed("build -q -f - src", b"FROM bb\nCOPY sub/taken /x\n");
    assert_eq!(fed.code, 0, "{fed}");
    here.run("build --secret id=x src").complains(1, "cannot be asked for --secret");
    here.run("build --security-opt x src").complains(1, "cannot be asked for --security-opt");
    // What the environment and docker's file say counts there too.
    here.mica
        .file("docker/config.json", r#"{"proxies": {"default": {"httpProxy": "http://p:1"}}}"#);
    here.mica.file("around/Dockerfile", "FROM scratch\nARG http_proxy\nENV P=$http_proxy\n");
    let mut command = here.command("build -q -t around around");
    command.env("DOCKER_CONFIG", here.mica.path("docker"));
    let built = command.env("DOCKER_DEFAULT_PLATFORM", "linux/s390x").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let shown = "image inspect -f '{{.Architecture}} {{.Config.Env}}' around";
    assert!(here.ok(shown).starts_with("s390x") && here.ok(shown).contains("P=http://p:1"));
    here.run("build -f none src").complains(1, "no such file or directory");
    here.ok("builder prune -af");
}

#[test]
fn images_elsewhere_come_and_go() {
    need_programs!("htpasswd");
    let far = Mica::new();
    let server = Server::start(&far);
    let here = Here::new(&server);
    let entry = Command::new("htpasswd").args(["-Bbn", "me", "secret"]).output();
    far.file("users", entry.unwrap().stdout);
    let address = format!("127.0.0.1:{}", free_port());
    let line = format!("registry serve --listen {address} --root hub --htpasswd users --log none");
    let hub = Ended(far.command(&line).stderr(Stdio::null()).spawn().unwrap());
    eventually("the registry answers", || std::net::TcpStream::connect(&address).is_ok());
    let name = format!("{address}/me/tiny:1");
    let id = far.import(&name);
    here.run(&format!("push {name}")).complains(1, "");
    // A login is of here, and goes along.
    let login = here.fed(&format!("login -u me --password-stdin {address}"), b"secret");
    assert_eq!(login.code, 0, "{login}");
    let pushed = here.ok(&format!("push {name}"));
    assert!(pushed.contains("1: digest: sha256:"), "{pushed}");
    here.ok(&format!("tag {name} kept:2"));
    let saved = here.run("save -o kept.tar kept:2");
    assert_eq!(saved.code, 0, "{saved}");
    assert_eq!(here.ok("rmi kept:2"), "Untagged: kept:2");
    here.ok(&format!("rmi {name}"));
    assert_eq!(far.ok("images -q"), "");
    let pulled = here.ok(&format!("pull {name}"));
    assert!(pulled.contains(&format!("Status: Downloaded newer image for {name}")), "{pulled}");
    assert!(pulled.ends_with(&name), "{pulled}");
    assert_eq!(here.ok("images -q --no-trunc"), id);
    assert_eq!(here.ok("load -i kept.tar"), "Loaded image: kept:2");
    here.run(&format!("pull -q {address}/me/none")).complains(1, "not found");
    here.run("create bb --pull sometimes x").complains(1, "");
    drop(hub);
}

#[test]
fn what_an_engine_is_asked_says_what_it_is() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    let here = Here::new(&server);
    let version = here.ok("version");
    assert!(version.contains(&format!("Server: mica at {}", here.host)), "{version}");
    assert_eq!(
        here.ok("version -f '{{.Server.ApiVersion}}'"),
        mica.ok("version -f '{{.Server.ApiVersion}}'")
    );
    assert_eq!(here.ok("info -f '{{.ID}}'"), mica.ok("info -f '{{.ID}}'"));
    assert!(here.ok("info").contains(" Images: 0\n"));
    here.run("volume clone a b")
        .complains(1, "`mica volume clone` works on this machine's own store");
    let gone = here.mica.run("-H unix:///nothing images");
    gone.complains(
        1,
        "Cannot connect to the Docker daemon at unix:///nothing. Is the docker daemon running?",
    );
    here.mica.run("-H nonsense://x images").complains(1, "unable to parse docker host");
    here.mica.run("-H tcp://x --context y images").complains(1, "cannot specify both");
    // The flag goes before the variable.
    let mut command = here.mica.command(&format!("-H {} images -q", here.host));
    assert!(command.env("DOCKER_HOST", "unix:///nothing").status().unwrap().success());
}

#[test]
fn names_are_completed_from_where_they_are() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let here = Here::new(&server);
    root.ok("create --name afar bb true");
    root.ok("volume create kept");
    let offers = |line: &str, name: &str| {
        // A machine that is busy may answer too late once.
        eventually("it is offered", || {
            let told = here.ok(&format!("__complete {line} ''"));
            told.lines().any(|row| row.split('\t').next() == Some(name))
        });
    };
    offers("rm", "afar");
    offers("rmi", "bb:latest");
    offers("volume rm", "kept");
    offers("network inspect", "bridge");
    // One that does not answer is not waited for.
    let silent = std::os::unix::net::UnixListener::bind(here.mica.path("silent")).unwrap();
    let mut command = here.mica.command("__complete rm ''");
    command.env("DOCKER_HOST", format!("unix://{}", here.mica.path("silent").display()));
    let begin = std::time::Instant::now();
    assert!(!Run::of("__complete", command.output().unwrap()).out.contains("afar"));
    assert!(begin.elapsed() < std::time::Duration::from_secs(15));
    drop(silent);
}

#[test]
fn caches_and_files_of_images_are_looked_at_elsewhere() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let here = Here::new(&server);
    here.mica.file("Dockerfile", "FROM bb\nRUN echo text > /made\n");
    here.ok("build -t app --network none .");
    for line in ["buildx du", "cp image:app:/made -", "cp image:app:/nothing -"] {
        let (near, far) = (root.run(line), here.run(line));
        assert_eq!((near.code, timeless(&near.out)), (far.code, timeless(&far.out)), "{line}");
    }
    here.ok("cp image:app:/made made");
    assert_eq!(fs::read_to_string(here.mica.path("made")).unwrap(), "text\n");
    here.run("cp made image:app:/made").complains(1, "an image does not change");
    here.run("buildx bake").complains(1, "is meant");
    here.run("buildx history ls").complains(1, "docker's buildx asks there");
    assert!(root.containers().is_empty());
}
