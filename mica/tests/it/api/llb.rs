//! Graphs of operations, as a client without a frontend sends them: written here field by field, and
//! sent by `curl`, which speaks HTTP/2.

use std::process::Stdio;

use spec::Digest;

use super::buildkit::Daemon;
use crate::containers::support::Root;
use crate::need_programs;

/// A field with bytes: a text, a message.
fn field(tag: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut out = Vec::new();
    varint(&mut out, u64::from(tag) << 3 | 2);
    varint(&mut out, bytes.len() as u64);
    [out, bytes.to_vec()].concat()
}

/// A field with a number.
fn number(tag: u8, value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, u64::from(tag) << 3);
    varint(&mut out, value as u64);
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The fields of a message: bytes, or a number.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>, u64)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for at in 0.. {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7f) << (7 * at);
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let number = varint(&mut bytes);
        let length = if key & 7 == 2 { number as usize } else { 0 };
        let (inner, rest) = bytes.split_at(length);
        bytes = rest;
        all.push((key >> 3, inner.to_vec(), number));
    }
    all
}

/// What is in a field with bytes, and in one of those; empty if it is not there.
fn inner(message: &[u8], path: &[u64]) -> Vec<u8> {
    path.iter().fold(message.to_vec(), |message, tag| {
        let found = fields(&message).into_iter().find(|(own, ..)| own == tag);
        found.map(|(_, bytes, _)| bytes).unwrap_or_default()
    })
}

/// A graph on its way.
#[derive(Default)]
struct Graph(Vec<Vec<u8>>);

impl Graph {
    /// Adds an operation of a kind on these results, and gives its name.
    fn add(&mut self, inputs: &[(&str, i64)], kind: &[u8]) -> String {
        let input = |(digest, index): &(&str, i64)| {
            field(1, [field(1, digest), number(2, *index)].concat())
        };
        let bytes = [inputs.iter().flat_map(input).collect(), kind.to_vec()].concat();
        let digest = Digest::of(&bytes).to_string();
        self.0.push(bytes);
        digest
    }

    fn image(&mut self, name: &str) -> String {
        self.add(&[], &field(3, field(1, format!("docker-image://{name}"))))
    }

    /// A script, with more fields of its environment and more mounts than the root.
    fn run(&mut self, inputs: &[(&str, i64)], script: &str, meta: &[u8], mounts: &[u8]) -> String {
        let words = ["sh", "-ec", script].map(|word| field(1, word)).concat();
        let root = field(2, [number(1, 0), field(3, "/"), number(4, 0)].concat());
        // No network.
        let parts = [field(1, [&words[..], meta].concat()), root, mounts.to_vec(), number(3, 2)];
        self.add(inputs, &field(2, parts.concat()))
    }

    /// The graph whose result this is.
    fn end(mut self, digest: &str, index: i64) -> Vec<u8> {
        self.add(&[(digest, index)], &[]);
        self.0.into_iter().flat_map(|op| field(1, op)).collect()
    }
}

fn mount(input: i64, target: &str, output: i64, more: &[u8]) -> Vec<u8> {
    field(2, [number(1, input), field(3, target), number(4, output), more.to_vec()].concat())
}

/// A root whose image `bb` graphs begin with, and who builds them.
struct Graphs {
    root: Root,
    daemon: Daemon,
}

impl Graphs {
    fn new(name: &str) -> Option<Graphs> {
        let root = Root::new()?;
        let daemon = Daemon::start(&root, name, "");
        Some(Graphs { root, daemon })
    }

    /// Builds a graph as an image, and gives what is wrong with it, if anything is.
    fn solve(&self, name: &str, graph: &[u8], more: &[(&str, &str)]) -> String {
        let attributes = [("name", name)].into_iter().chain(more.iter().copied());
        let attribute = |(key, value)| field(4, [field(1, key), field(2, value)].concat());
        let attributes: Vec<u8> = attributes.flat_map(attribute).collect();
        let request = [field(1, name), field(2, graph), field(3, "image"), attributes].concat();
        self.call("moby.buildkit.v1.Control/Solve", "", &[request]).1
    }

    /// Calls a method of a build's, and gives the messages of its answer and what is wrong, if
    /// anything is.
    fn call(&self, method: &str, build: &str, said: &[Vec<u8>]) -> (Vec<Vec<u8>>, String) {
        let frame = |said: &Vec<u8>| [&[0], &(said.len() as u32).to_be_bytes()[..], said].concat();
        let framed: Vec<u8> = said.iter().flat_map(frame).collect();
        // Calls of two services may go on at once.
        let file = |what: &str| format!("{}-{what}", method.replace('/', "-"));
        self.root.file(&file("request"), framed);
        let mut curl = self.root.program("curl");
        curl.args(["-sS", "--http2-prior-knowledge", "-D", "-", "--unix-socket"]);
        curl.arg(&self.daemon.socket).args(["-o", &file("answer")]);
        curl.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
        curl.args(["-H", &format!("buildkit-controlapi-buildid: {build}")]);
        curl.args(["--data-binary", &format!("@{}", file("request"))]);
        let output = curl.arg(format!("http://x/{method}")).stdin(Stdio::null()).output().unwrap();
        let head = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        assert!(line("grpc-status: ").is_some(), "{head}{output:?}");
        let body = std::fs::read(self.root.path(file("answer"))).unwrap_or_default();
        let (mut rest, mut messages) = (body.as_slice(), Vec::new());
        while let [_, a, b, c, d, more @ ..] = rest {
            let (message, after) = more.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
            messages.push(message.to_vec());
            rest = after;
        }
        (messages, line("grpc-message: ").unwrap_or_default().trim().to_owned())
    }

    /// Forgets what is remembered of a step, by a part of its text.
    #[track_caller]
    fn forget(&self, text: &str) {
        let steps = std::fs::read_dir(self.root.root().join("build/steps")).unwrap();
        let is_it = |path: &std::path::PathBuf| {
            std::fs::read_to_string(path).is_ok_and(|it| it.contains(text))
        };
        let found: Vec<_> = steps.map(|entry| entry.unwrap().path()).filter(is_it).collect();
        assert!(!found.is_empty(), "nothing is remembered of {text}");
        found.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }

    #[track_caller]
    fn builds(&self, name: &str, graph: &[u8]) {
        assert_eq!(self.solve(name, graph, &[]), "");
    }

    #[track_caller]
    fn shows(&self, image: &str, script: &str) -> String {
        let line = format!("run --rm --network none {image} sh -c '{script}'");
        self.root.ok(&line)
    }
}

#[test]
fn commands_run_as_the_graph_says() {
    need_programs!("curl");
    let Some(it) = Graphs::new("exec") else { return };
    let make = |script: &str| {
        let mut graph = Graph::default();
        let base = graph.image("bb");
        let meta = [field(2, "A=of the graph"), field(3, "/tmp"), field(4, "bob")].concat();
        let made = graph.run(&[(&base, 0)], script, &meta, &[]);
        graph.end(&made, 0)
    };
    let graph = make("echo $A $(pwd) $(id -u) > out; head -c 9 /dev/urandom >> random");
    it.builds("made", &graph);
    assert_eq!(it.shows("made", "cat /tmp/out"), "of the graph /tmp 1000");
    // What the command saw is not what the image says.
    let env = it.root.ok("inspect -f '{{.Config.Env}} {{.Config.User}}|' made");
    assert!(env.starts_with("[PATH=/usr/local/sbin:") && env.ends_with("] |"), "{env}");
    assert_eq!(it.root.ok("inspect -f '{{len .RootFS.Layers}}' made"), "2");
    it.builds("again", &graph);
    let id = |name: &str| it.root.ok(&format!("inspect -f '{{{{.Id}}}}' {name}"));
    assert_eq!(id("made"), id("again"), "it was not run again");
    let config = r#"{"architecture":"amd64","os":"linux","config":{"User":"bob","Cmd":["x"]},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    assert_eq!(it.solve("own", &graph, &[("containerimage.config", config)]), "");
    assert_eq!(it.root.ok("inspect -f '{{.Config.User}} {{.Config.Cmd}}' own"), "bob [x]");
    let failed = it.solve("failed", &make("echo before; exit 3"), &[]);
    assert!(failed.contains("exit code: 3"), "{failed}");
}

#[test]
fn commands_find_what_the_graph_says() {
    need_programs!("curl");
    let Some(it) = Graphs::new("finds") else { return };
    let mut graph = Graph::default();
    let base = graph.image("bb");
    let limit = [field(1, "nofile"), number(2, 77), number(3, 99)].concat();
    let meta = [
        field(5, field(1, "http://proxy:1")),
        field(6, [field(1, "db"), field(2, "10.9.8.7")].concat()),
        field(7, "own"),
        field(9, limit),
        number(12, 7),
    ];
    let script = "hostname > /o; grep -w db /etc/hosts >> /o; ulimit -Sn >> /o; ulimit -Hn >> /o; \
                  echo $http_proxy $HTTP_PROXY >> /o; exit 7";
    let made = graph.run(&[(&base, 0)], script, &meta.concat(), &[]);
    it.builds("made", &graph.end(&made, 0));
    let told = it.shows("made", "cat /o").replace('\t', " ");
    assert_eq!(told, "own\n10.9.8.7 db\n77\n99\nhttp://proxy:1 http://proxy:1");
    let mut graph = Graph::default();
    let base = graph.image("bb");
    let made = graph.run(&[(&base, 0)], "exit 0", &number(12, 7), &[]);
    let failed = it.solve("failed", &graph.end(&made, 0), &[]);
    assert!(failed.contains("exit code: 0"), "{failed}");
}

#[test]
fn files_have_times_and_owners_of_their_own() {
    need_programs!("curl");
    let Some(it) = Graphs::new("times") else { return };
    let mut graph = Graph::default();
    let base = graph.image("bb");
    let users = graph.run(&[(&base, 0)], "echo amy:x:77:78:::/ >> /etc/passwd", &[], &[]);
    let named = |input| field(1, field(1, [field(1, "amy"), number(2, input)].concat()));
    let file = |path: &str, owner: &[u8], created| {
        let owner = field(4, owner);
        [field(1, path), number(2, 0o644), field(3, "x"), owner, number(5, created)].concat()
    };
    let action = |input, output, file: &[u8]| {
        field(2, [number(1, input), number(2, -1), number(3, output), field(5, file)].concat())
    };
    let actions = [
        action(0, -1, &file("/new/owned", &named(1), 1_234_000_000_000)),
        action(2, 0, &file("/usual", &[], -1)),
    ];
    let made = graph.add(&[(&base, 0), (&users, 0)], &field(4, actions.concat()));
    it.builds("made", &graph.end(&made, 0));
    let told = it.shows("made", "stat -c \"%u %Y\" /new/owned /new; stat -c %Y /usual");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], ["77 1234", "77 1234"]);
    assert_ne!(lines[2], "1234");
}

#[test]
fn mounts_are_seen_and_some_are_results() {
    need_programs!("curl");
    let Some(it) = Graphs::new("mounts") else { return };
    let make = |script: &str, index| {
        let mut graph = Graph::default();
        let base = graph.image("bb");
        let other = graph.run(&[(&base, 0)], "mkdir /d; echo of another > /d/f", &[], &[]);
        let mounts = [
            mount(1, "/in", -1, &[field(2, "/d"), number(5, 1)].concat()),
            mount(1, "/all", 1, &[]),
            mount(-1, "/out", 2, &[]),
            mount(
                -1,
                "/cache",
                -1,
                &[number(6, 3), field(20, [field(1, "c"), number(2, 2)].concat())].concat(),
            ),
            mount(-1, "/memory", -1, &[number(6, 4), field(19, number(1, 1 << 20))].concat()),
        ];
        let made = graph.run(&[(&base, 0), (&other, 0)], script, &[], &mounts.concat());
        graph.end(&made, index)
    };
    let script = "cat /in/f > /out/read; ! touch /in/x 2> /dev/null; rm /all/d/f; echo w > /all/w; \
                  echo x >> /cache/n; wc -l < /cache/n > /out/n; mount | grep -c \" /memory \" > /out/m; touch /own";
    for (name, index) in [("root", 0), ("all", 1), ("out", 2)] {
        it.builds(name, &make(script, index));
    }
    assert_eq!(it.shows("root", "ls /own; ls /out /in /cache 2> /dev/null | wc -l"), "/own\n0");
    assert_eq!(it.shows("all", "cat /w; ls /d | wc -l"), "w\n0");
    let read = |image: &str, path: &str| {
        it.root.run(&format!("cp image:{image}:/{path} taken")).works();
        std::fs::read_to_string(it.root.path("taken")).unwrap()
    };
    assert_eq!((read("out", "read"), read("out", "m")), ("of another\n".into(), "1\n".into()));
    assert_eq!(read("out", "n"), "1\n", "it was run once for all results");
    it.forget("(mount 1)");
    it.builds("once", &make(script, 1));
    let told = it.root.run("buildx history logs").err;
    assert_eq!(told.matches(" CACHED").count(), 1, "it was not, but the step before: {told}");
    it.builds("more", &make(&format!("{script}; :"), 2));
    assert_eq!(read("more", "n"), "3\n", "the cache is still there");
}

#[test]
fn trees_are_merged_and_compared() {
    need_programs!("curl");
    let Some(it) = Graphs::new("merge") else { return };
    let mut graph = Graph::default();
    let base = graph.image("bb");
    let file = |path: &str| {
        let file = [field(1, path), number(2, 0o644), field(3, path)].concat();
        field(4, field(2, [number(1, -1), number(2, -1), number(3, 0), field(5, file)].concat()))
    };
    let (one, two) = (graph.add(&[], &file("/one")), graph.add(&[], &file("/two")));
    let changed = graph.run(&[(&base, 0)], "rm -r /filled; echo c > /c; chmod 700 /tmp", &[], &[]);
    let side = |tag: u8, input: i64| field(tag, number(1, input));
    let diff =
        graph.add(&[(&base, 0), (&changed, 0)], &field(7, [side(1, 0), side(2, 1)].concat()));
    let inputs: Vec<u8> = (0..4).flat_map(|input| field(1, number(1, input))).collect();
    let merged = graph.add(&[(&base, 0), (&one, 0), (&two, 0), (&diff, 0)], &field(6, inputs));
    let only = Graph(graph.0.clone()).end(&diff, 0);
    it.builds("merged", &graph.end(&merged, 0));
    let script = "cat /one /two /c; ls -d /filled 2> /dev/null || echo gone; stat -c %a /tmp";
    assert_eq!(it.shows("merged", script), "/one/twoc\ngone\n700");
    assert_eq!(it.root.ok("inspect -f '{{len .RootFS.Layers}}' merged"), "4");
    it.builds("only", &only);
    let files = it.root.ok("image files only");
    assert!(files.contains("/c") && !files.contains("busybox"), "{files}");
    it.root.must_be_whole();
}

/// Something that is done in the end.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// What processes said in messages of one call: output, errors, and the code of each.
fn heard(messages: &[Vec<u8>], process: &str) -> (String, String, Option<u64>) {
    let (mut streams, mut code) = ([Vec::new(), Vec::new(), Vec::new()], None);
    let own = messages.iter().filter(|message| inner(message, &[1]) == process.as_bytes());
    for message in own {
        for (tag, said, _) in fields(message) {
            let number = |wanted| {
                fields(&said)
                    .iter()
                    .find(|(tag, ..)| *tag == wanted)
                    .map_or(0, |(.., number)| *number)
            };
            match tag {
                3 => streams[number(1) as usize].extend(inner(&said, &[3])),
                6 => code = Some(number(1)),
                _ => {}
            }
        }
    }
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    (text(&streams[1]), text(&streams[2]), code)
}

#[test]
fn commands_run_in_the_files_of_a_result() {
    need_programs!("curl");
    let Some(it) = Graphs::new("containers") else { return };
    let mut graph = Graph::default();
    let base = graph.image("bb");
    let made = graph.run(&[(&base, 0)], "echo of the build > /made", &[], &[]);
    let graph = graph.end(&made, 0);
    let bridge = |method: &str, said: &[Vec<u8>]| {
        it.call(&format!("moby.buildkit.v1.frontend.LLBBridge/{method}"), "steered", said)
    };
    let works = |method: &str, said: &[Vec<u8>]| {
        let (messages, wrong) = bridge(method, said);
        assert_eq!(wrong, "", "{method}");
        messages
    };
    std::thread::scope(|scope| {
        let control = "moby.buildkit.v1.Control/Solve";
        let solving = scope.spawn(|| it.call(control, "", &[field(1, "steered")]).1);
        // However the test goes, the build ends with it.
        let end = OnDrop(|| drop(bridge("Return", &[Vec::new()])));
        let wanted = [field(1, &graph), number(5, 1), number(6, 1)].concat();
        let solved = works("Solve", &[wanted]);
        let reference = inner(&solved[0], &[3, 3, 1]);
        let root = field(2, [field(3, "/"), field(23, &reference)].concat());
        let memory = mount(-1, "/memory", -1, &number(6, 4));
        let new =
            |name: &str| [field(1, name), root.clone(), memory.clone(), number(3, 2)].concat();
        works("NewContainer", &[new("one")]);
        let init = |container: &str, process: &str, script: &str| {
            let words = ["sh", "-c", script].map(|word| field(1, word)).concat();
            let meta = [words, field(2, "PATH=/bin"), field(3, "/tmp")].concat();
            let init = [field(1, container), field(2, meta), field(3, [0, 1, 2])].concat();
            [field(1, process), field(2, init)].concat()
        };
        let file = |process: &str, text: &str, is_end| {
            let file = [number(1, 0), number(2, is_end), field(3, text)].concat();
            [field(1, process), field(3, file)].concat()
        };
        let script = "cat; cat /made; pwd; mount | grep -c \" /memory \"; echo wrong >&2; exit 3";
        let said = [init("one", "p", script), file("p", "typed ", 0), file("p", "twice\n", 1)];
        let (out, err, code) = heard(&works("ExecProcess", &said), "p");
        assert_eq!(out, "typed twice\nof the build\n/tmp\n1\n");
        assert_eq!((err.as_str(), code), ("wrong\n", Some(3)));
        works("ReleaseContainer", &[field(1, "one")]);
        assert_eq!(it.root.ok("ps -aq"), "");

        works("NewContainer", &[new("two")]);
        let waits = "until test -e /go; do sleep 0.05; done; echo went";
        let said = [init("two", "first", waits), init("two", "second", "touch /go; echo goes")];
        let messages = works("ExecProcess", &said);
        assert_eq!(heard(&messages, "first"), ("went\n".into(), String::new(), Some(0)));
        assert_eq!(heard(&messages, "second").0, "goes\n");
        let lost = heard(&works("ExecProcess", &[init("none", "p", "true")]), "p");
        assert_eq!(lost.2, Some(255), "there is no such container");
        let (_, wrong) = bridge("NewContainer", &[[field(1, "host"), root, number(3, 1)].concat()]);
        assert!(wrong.contains("network.host is not allowed"), "{wrong}");
        drop(end);
        assert_eq!(solving.join().unwrap(), "");
    });
    // What is left goes with the build.
    assert_eq!(it.root.ok("ps -aq"), "");
    assert_eq!(it.root.ok("images -f dangling=true -q"), "");
}
