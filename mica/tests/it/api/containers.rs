//! Containers through the socket: made, run, ended, changed, removed.

use std::io::{Read, Write};

use serde_json::json;

use super::support::{Server, answered};
use crate::containers::support::{Root, eventually};
use crate::need_programs;
use crate::support::Mica;

#[test]
fn a_container_runs_in_the_foreground() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let run = |words: &str| server.docker(&format!("run --rm --network none {words}"));
    run("bb echo hello").prints("hello\n");
    let both = run("bb sh -c 'echo out; echo err >&2; exit 7'");
    assert_eq!((both.out.as_str(), both.err.as_str(), both.code), ("out\n", "err\n", 7));
    let missing = run("bb nosuch");
    missing.complains(127, "executable file not found in $PATH");
    assert!(!missing.err.contains("Error waiting"), "{missing}");
    run("bb /etc").complains(126, "");
    run("nothing:1").complains(125, "");
    eventually("they are gone", || root.containers().is_empty());
    // Nobody is left in the table of processes either.
    eventually("monitors are taken", || {
        let children = format!("/proc/{0}/task/{0}/children", server.id());
        std::fs::read_to_string(children).is_ok_and(|list| list.trim().is_empty())
    });
}

#[test]
fn a_containers_life() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let id = server.ok("create --name one --network none --label a=b bb sleep 600");
    assert_eq!(server.ok("ps -q"), "");
    let status = |name: &str| {
        server.ok(&format!("ps -a --filter name={name} --format '{{{{.State}}}} {{{{.Names}}}}'"))
    };
    assert_eq!(status("one"), "created one");
    server.ok("start one");
    assert_eq!(server.send("POST", "/containers/one/start", "").status, 304);
    assert_eq!(server.ok("ps -q --no-trunc --filter label=a=b"), id);
    // Either door sees what the other does.
    assert_eq!(root.ok("ps -q --no-trunc"), id);
    assert_eq!(server.ok("inspect one"), root.ok("inspect one"));
    server.ok("pause one");
    assert_eq!(status("one"), "paused one");
    assert_eq!(server.send("POST", "/containers/one/start", "").status, 409);
    server.docker("exec one true").complains(1, "is paused, unpause the container before exec");
    root.ok("unpause one");
    server.ok("rename one two");
    server.ok("update --pids-limit 50 two");
    assert_eq!(server.ok("inspect -f '{{.HostConfig.PidsLimit}}' two"), "50");
    assert!(server.ok("top two").contains("sleep 600"));
    assert!(server.ok("stats --no-stream two").contains("two"));
    server.docker("rm two").complains(1, "stop the container before removing or force remove");
    server.ok("restart -t 0 two");
    server.ok("stop -t 0 two");
    assert_eq!(server.send("POST", "/containers/two/stop", "").status, 304);
    assert_eq!(server.send("POST", "/containers/two/kill", "").status, 409);
    assert_eq!(server.ok("wait two"), "137");
    server.ok("start two");
    server.ok("kill two");
    server.ok("rm two");
    let missing = server.get("/containers/two/json");
    assert_eq!((missing.status, missing.message().as_str()), (404, "No such container: two"));
}

#[test]
fn files_go_both_ways() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    server.ok("create --name one --network none bb true");
    root.file("in/a", "inside");
    server.ok("cp in one:/tmp");
    server.ok("cp one:/tmp/in/a out");
    assert_eq!(std::fs::read_to_string(root.path("out")).unwrap(), "inside");
    server.ok("cp one:/tmp/in/. copied");
    assert_eq!(std::fs::read_to_string(root.path("copied/a")).unwrap(), "inside");
    server.docker("cp one:/nothing out").complains(1, "Could not find the file /nothing in");
    assert_eq!(server.ok("diff one"), "C /tmp\nA /tmp/in\nA /tmp/in/a");
    let head = server.send("HEAD", "/containers/one/archive?path=/etc/passwd", "");
    assert!(head.status == 200 && head.head.contains("x-docker-container-path-stat: ey"));
    server.ok("commit -m why -c 'CMD [\"cat\", \"/tmp/in/a\"]' one made:1");
    assert_eq!(server.ok("run --rm --network none made:1"), "inside");
    server.ok("export -o all.tar one");
    let names = root.program("tar").args(["tf", "all.tar"]).output().unwrap();
    assert!(String::from_utf8_lossy(&names.stdout).lines().any(|name| name == "tmp/in/a"));
    server.ok("rm one");
}

#[test]
fn what_is_wrong_with_a_request_is_told() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let said = |method: &str, path: &str, document: &str| {
        let answered = server.send(method, path, document);
        (answered.status, answered.message())
    };
    assert_eq!(said("POST", "/containers/create", "").0, 400);
    assert_eq!(said("POST", "/containers/create", "[]").0, 400);
    assert_eq!(said("POST", "/containers/create", r#"{"Image":7}"#).0, 400);
    let (status, words) = said("POST", "/containers/create", r#"{"Image":"none"}"#);
    assert_eq!((status, words.as_str()), (404, "No such image: none:latest"));
    assert_eq!(said("POST", "/containers/create?name=%2F%2F", r#"{"Image":"bb"}"#).0, 400);
    root.ok("create --name one --network none bb true");
    let (status, words) = said("POST", "/containers/create?name=one", r#"{"Image":"bb"}"#);
    assert!(status == 409 && words.starts_with("Conflict. The container name \"/one\" is already"));
    assert_eq!(said("GET", "/containers/one/logs", "").0, 400);
    assert_eq!(said("POST", "/containers/one/kill?signal=NONE", "").0, 400);
    assert_eq!(said("POST", "/containers/one/wait?condition=never", "").0, 400);
    assert_eq!(said("POST", "/containers/one/exec", r#"{"Cmd":["true"]}"#).0, 409);
    assert_eq!(said("GET", "/exec/abc/json", ""), (404, "No such exec instance: abc".to_owned()));
    let filters = "/containers/json?filters=%7B%22status%22%3A%5B%22odd%22%5D%7D";
    assert_eq!(said("GET", filters, "").0, 400);
    let listed = server.get("/containers/json?all=1").json();
    assert_eq!(listed[0]["Names"], json!(["/one"]));
    root.ok("rm one");
}

#[test]
fn a_commit_may_say_what_its_image_is() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.ok("create --name one --network none --label a=b --env X=1 bb sleep 600");
    let config = r#"{"Cmd":["echo","new"],"Env":["Y=2"],"Labels":{"c":"d"}}"#;
    let path = "/commit?container=one&repo=made&tag=1&changes=EXPOSE%2080";
    assert_eq!(server.send("POST", path, config).status, 201);
    let made = root.json("image inspect made:1");
    let made = &made[0]["Config"];
    assert_eq!(made["Cmd"], json!(["echo", "new"]));
    assert_eq!(made["Labels"], json!({ "a": "b", "c": "d" }));
    let env: Vec<&str> =
        made["Env"].as_array().unwrap().iter().filter_map(|v| v.as_str()).collect();
    assert!(env.contains(&"Y=2") && env.contains(&"X=1"), "{env:?}");
    assert_eq!(made["ExposedPorts"], json!({ "80/tcp": {} }));
    assert_eq!(server.send("POST", "/commit?container=one&repo=made&tag=2", "{}").status, 201);
    assert_eq!(root.json("image inspect made:2")[0]["Config"]["Cmd"], json!(["sleep", "600"]));
    assert_eq!(server.send("POST", "/commit?container=one", "{\"Cmd\":7}").status, 400);
    // Nothing was changed, and there is no layer for that.
    let layers = "image inspect -f '{{.RootFS.Layers}}'";
    assert_eq!(root.ok(&format!("{layers} made:1")), root.ok(&format!("{layers} bb")));
    assert!(root.ok("history --format '{{.Size}}' made:1").starts_with("0B\n"));
    // A first limit of memory is one of swap too.
    let update = |document| server.send("POST", "/containers/one/update", document);
    let refused = update(r#"{"Memory":67108864}"#);
    assert!(refused.status == 409 && refused.message().contains("update the memoryswap"));
    assert_eq!(update(r#"{"Memory":67108864,"MemorySwap":67108864}"#).status, 200);
}

#[test]
fn a_link_is_taken_back() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    server.ok("create --name db bb true");
    server.ok("create --name web --link db:one --link db:two bb true");
    assert_eq!(server.ok("rm --link /web/one"), "/web/one");
    let links = || server.ok("inspect -f '{{json .HostConfig.Links}}' web");
    assert_eq!(links(), r#"["/db:/web/two"]"#);
    server.docker("rm --link web/one").complains(1, "No such container: web/one");
    server.docker("rm --link web").complains(1, "cannot remove the default link name");
    assert_eq!(server.send("DELETE", "/containers/web/two?link=1", "").status, 204);
    assert_eq!(links(), "null");
    assert_eq!(server.ok("ps -aq").lines().count(), 2, "only links went");
}

#[test]
fn what_no_container_can_be_is_refused_by_this_door_too() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.import("tiny");
    for (document, words) in [
        (r#""WorkingDir": "a""#, "the working directory 'a' is invalid"),
        (r#""StopSignal": "NONE""#, "invalid signal: NONE"),
        (r#""HostConfig": {"CgroupnsMode": "x"}"#, "invalid cgroup namespace mode: x"),
        (r#""HostConfig": {"ExtraHosts": ["x"]}"#, "bad format for add-host: \"x\""),
        (r#""HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}"#, "invalid"),
        (r#""HostConfig": {"RestartPolicy": {"Name": "x"}}"#, "unknown policy 'x'; use one of"),
        (r#""HostConfig": {"Mounts": [{"Type": "x"}]}"#, "type \"x\": mount type unknown"),
        (r#""HostConfig": {"Mounts": [{"Type": "volume"}]}"#, "field Target must not be empty"),
    ] {
        let document = format!(r#"{{"Image": "tiny", "Cmd": ["x"], {document}}}"#);
        let answered = server.send("POST", "/containers/create", &document);
        assert_eq!(answered.status, 400, "{document}: {answered:?}");
        assert!(answered.message().contains(words), "{document}: {answered:?}");
    }
    assert_eq!(server.get("/containers/json?all=1").json(), json!([]));
}

/// A container that ends while somebody asks for its end has ended for them.
#[test]
fn an_end_is_told_however_near_it_is() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let host = json!({ "NetworkMode": "none" });
    for turn in 0..40 {
        let told = format!("exit {turn}");
        let asked = json!({ "Image": "bb", "Cmd": ["sh", "-c", told], "HostConfig": host });
        let path = format!("/containers/create?name=quick{turn}");
        assert_eq!(server.send("POST", &path, &asked.to_string()).status, 201);
        let start = format!("/containers/quick{turn}/start");
        assert_eq!(server.send("POST", &start, "").status, 204);
        let ended = server.send("POST", &format!("/containers/quick{turn}/wait"), "");
        assert_eq!(ended.json()["StatusCode"], json!(turn));
    }
}

/// Who asks for the next end hears it, though somebody else starts the container and it ends
/// sooner than one looks.
#[test]
fn an_end_is_told_that_nobody_saw_coming() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.ok("create --name one --network none bb sh -c 'exit 7'");
    let mut stream = server.connect();
    let path = "/containers/one/wait?condition=next-exit";
    write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    // It is waited for when the head is there.
    let mut bytes = vec![0; 1];
    stream.read_exact(&mut bytes).unwrap();
    root.ok("start one");
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(answered(&bytes).json()["StatusCode"], json!(7));
}
