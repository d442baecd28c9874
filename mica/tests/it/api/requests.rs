//! Requests as Go's programs and people at a terminal write them, and what no request may be.

use std::io::{Read, Write};

use serde_json::json;

use super::support::{Server, answered};
use crate::containers::support::{Root, eventually};
use crate::support::Mica;

#[test]
fn what_is_null_was_not_said() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    // As docker-py sends it.
    let network = r#"{"Name":"n","Driver":null,"Internal":null,"Attachable":null,"Ingress":null,
        "ConfigOnly":null,"ConfigFrom":null,"Options":{"x":null},"Labels":{"y":null},
        "IPAM":{"Driver":"default","Config":[{"Subnet":"10.211.9.0/24","IPRange":null,
        "Gateway":null,"AuxiliaryAddresses":null},{"Subnet":null,"Gateway":null}]}}"#;
    let made = server.send("POST", "/networks/create", network);
    assert_eq!(made.status, 201, "{made:?}");
    let shown = server.get("/networks/n").json();
    assert_eq!(shown["IPAM"]["Config"][0]["Subnet"], "10.211.9.0/24");
    assert_eq!(shown["Labels"], json!({ "y": "" }));
    let volume = r#"{"Name":"vv","Driver":null,"DriverOpts":null,"Labels":{"x":null}}"#;
    assert_eq!(server.send("POST", "/volumes/create", volume).status, 201);
    let container = r#"{"Image":"bb","Cmd":["true",null],"Labels":{"x":null},"Env":null,
        "ExposedPorts":null,"HostConfig":{"Tmpfs":{"/t":null},"Sysctls":null,"Binds":null,
        "Ulimits":[{"Name":"nofile","Soft":9,"Hard":null}],"NetworkMode":null,"Memory":null,
        "PortBindings":{"80/tcp":[null]},"RestartPolicy":{"Name":null},"Mounts":null},
        "NetworkingConfig":{"EndpointsConfig":{"n":{"IPAMConfig":null,"Aliases":null}}}}"#;
    let made = server.send("POST", "/containers/create?name=one", container);
    assert_eq!(made.status, 201, "{made:?}");
    let shown = server.get("/containers/one/json").json();
    assert_eq!(shown["Args"], json!([""]));
    assert_eq!(shown["HostConfig"]["Tmpfs"], json!({ "/t": "" }));
    let joining = r#"{"Container":"one","EndpointConfig":null,"Force":null}"#;
    assert_eq!(server.send("POST", "/networks/n/disconnect", joining).status, 200);
    assert_eq!(
        server
            .send(
                "POST",
                "/networks/create",
                r#"{"Name":"m","IPAM":{"Config":
        [{"Gateway":"10.211.9.1"}]}}"#
            )
            .status,
        400,
        "a gateway of nowhere"
    );
    server.send("DELETE", "/containers/one", "");
    server.send("DELETE", "/networks/n", "");
}

#[test]
fn names_of_fields_are_written_in_any_case_and_no_list_is_a_document() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.import("tiny");
    let document = r#"{"image":"tiny","cmd":["echo","x"],"HOSTCONFIG":{"memory":67108864,
        "capadd":"CHOWN","ulimits":[{"name":"core","soft":1,"hard":2}],
        "mounts":[{"type":"tmpfs","target":"/t"}],"restartpolicy":{"name":"always"}}}"#;
    let made = server.send("POST", "/v1.41/containers/create?name=one", document);
    assert_eq!(made.status, 201, "{made:?}");
    let shown = server.get("/containers/one/json").json();
    assert_eq!(shown["Config"]["Cmd"], json!(["echo", "x"]));
    let host = &shown["HostConfig"];
    assert_eq!(host["CapAdd"], json!(["CHOWN"]));
    assert_eq!(host["Ulimits"], json!([{ "Name": "core", "Soft": 1, "Hard": 2 }]));
    assert_eq!(host["Mounts"][0]["Target"], "/t");
    assert_eq!(host["RestartPolicy"]["Name"], "always");
    for (path, document) in [
        ("/volumes/create", r#"["name"]"#),
        ("/volumes/create", "[]"),
        ("/networks/create", r#"["name"]"#),
        ("/containers/create", r#"[{"Image":"tiny"}]"#),
        ("/exec/abc/start", "[]"),
        ("/volumes/create", r#"{"Name":"a1"}{"Name":"b1"}"#),
        ("/containers/create", "{}"),
        ("/containers/create", r#"{"HostConfig":{"Memory":0}}"#),
    ] {
        let refused = server.send("POST", path, document);
        assert_eq!(refused.status, 400, "{path} {document}: {refused:?}");
    }
    assert_eq!(server.get("/volumes").json()["Volumes"], json!([]));
    let kind = |kind: &str| {
        let head = format!("Content-Type: {kind}\r\nContent-Length: 2\r\n");
        server.send_raw("POST", "/volumes/create", &head, b"{}").status
    };
    assert_eq!(kind("Application/JSON; charset=utf-8"), 201);
    assert_eq!((kind("application/json;;"), kind("text/json")), (400, 400));
    // Bytes that are no text, and half a letter.
    let name = b"{\"Name\":\"\\ud800\",\"Labels\":{\"a\":\"\xff\"}}";
    let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", name.len());
    let refused = server.send_raw("POST", "/volumes/create", &head, name);
    assert!(refused.message().contains("includes invalid characters"), "{refused:?}");
}

#[test]
fn fields_count_where_they_stand() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.import("tiny");
    let create = |document: &str| server.send("POST", "/containers/create", document);
    let nothing = "config cannot be empty in order to create a container";
    for document in ["{}", r#"{"HostConfig":{"Memory":0}}"#, r#"{"NetworkingConfig":{}}"#] {
        let refused = create(document);
        assert_eq!((refused.status, refused.message().as_str()), (400, nothing), "{document}");
    }
    // A field that says nothing new is one.
    let refused = create(r#"{"Image":""}"#);
    assert!(refused.status >= 400 && refused.message() != nothing, "{refused:?}");
    let beside = r#"{"Image":"tiny","Cmd":["x"],"RestartPolicy":{"Name":"x"},
        "hostconfig":{"Memory":67108864},"HostConfig":null}"#;
    let made = create(beside);
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.json()["Id"].as_str().unwrap().to_owned();
    let shown = server.get(&format!("/containers/{id}/json")).json();
    assert_eq!(shown["HostConfig"]["Memory"], 67_108_864);
    let update =
        |document: &str| server.send("POST", &format!("/containers/{id}/update"), document).status;
    assert_eq!(update(r#"{"RestartPolicy":{"Name":"x"}}"#), 400);
    assert_eq!(update(r#"{"HostConfig":{"RestartPolicy":{"Name":"x"}}}"#), 200);
}

#[test]
fn a_form_says_what_the_address_may_say() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let made = r#"{"Image":"bb","HostConfig":{"NetworkMode":"none"},"Cmd":["sh","-c",
        "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"]}"#;
    assert_eq!(server.send("POST", "/containers/create?name=one", made).status, 201);
    root.ok("start one");
    let form = |path: &str, body: &str| {
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        let head = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        server.send_raw("POST", path, &head, body.as_bytes())
    };
    eventually("the trap is set", || root.ok("logs one").contains("ready"));
    assert_eq!(form("/containers/one/kill", "signal=USR1").status, 204);
    eventually("the trap is hit", || root.ok("logs one").contains("usr1"));
    // The body counts more than the address.
    assert_eq!(form("/containers/one/kill?signal=KILL", "signal=USR1").status, 204);
    assert_eq!(root.ok("inspect -f '{{.State.Running}}' one"), "true");
    let refused = form("/containers/create", r#"{"Image":"bb"}"#);
    assert!(refused.message().starts_with("unsupported Content-Type header"), "{refused:?}");
    root.ok("rm -f one");
}

#[test]
fn a_builds_arguments_fit_into_its_address() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.import("tiny:1");
    let long = "a".repeat(900 << 10);
    let filters = format!("%7B%22reference%22%3A%5B%22tiny%22%2C%22{long}%22%5D%7D");
    // Twice on one connection, once at the address's end and once before it.
    let heads = [
        format!("GET /images/json?filters={filters} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /images/json?x={long}&shared-size=1 HTTP/1.1\r\nHost: x\r\n\r\n"),
        "GET /images/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
    ];
    let mut stream = server.connect();
    stream.write_all(heads.concat().as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
    assert_eq!(text.matches("tiny:1").count(), 3, "{text}");
    let shared = text.matches(r#""SharedSize":-1"#).count();
    assert_eq!(shared, 2, "what follows a long value counts: {text}");
    let many: String = (0..600).map(|number| format!("X-Meta-{number}: {number}\r\n")).collect();
    assert_eq!(server.send_raw("GET", "/_ping", &many, b"").status, 200);
    let token = format!("X-Registry-Config: {}\r\n", "e".repeat(300 << 10));
    assert_eq!(server.send_raw("GET", "/_ping", &token, b"").status, 200);
}

#[test]
fn what_is_no_address_is_refused() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    let said = |path: &str| {
        let answered = server.get(path);
        (answered.status, answered.message())
    };
    let escape = |words: &str| (400, words.to_owned());
    assert_eq!(said("/containers/json?all=%zz"), escape("invalid URL escape \"%zz\""));
    assert_eq!(said("/containers/%zz/json"), escape("invalid URL escape \"%zz\""));
    assert_eq!(said("/containers/json?a=1;b=2"), escape("invalid semicolon separator in query"));
    assert_eq!(server.get("/networks/").status, 200);
    let mut bare = server.connect();
    bare.write_all(b"GET /_ping HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    bare.read_to_end(&mut bytes).unwrap();
    assert_eq!(answered(&bytes).status, 400);
    let long = "z".repeat(300);
    for (method, path, status) in [
        ("GET", format!("/containers/{long}/json"), 404),
        ("DELETE", format!("/containers/{long}"), 404),
        ("GET", format!("/volumes/{long}"), 404),
        ("DELETE", format!("/volumes/{long}"), 404),
        ("GET", "/networks/bridge?verbose=x".to_owned(), 400),
        ("GET", "/images/search?term=a&limit=-1".to_owned(), 400),
        ("GET", format!("/distribution/sha256:{}/json", "0".repeat(64)), 500),
        ("GET", format!("/distribution/{}/json", "a".repeat(64)), 500),
        ("POST", "/images/create".to_owned(), 400),
        ("POST", "/build?version=7".to_owned(), 400),
        ("POST", "/build?isolation=foo".to_owned(), 400),
    ] {
        let answered = server.send(method, &path, "");
        assert_eq!(answered.status, status, "{method} {path}: {answered:?}");
    }
    let kill = server.send("POST", "/containers/nosuch/kill", "");
    assert_eq!(kill.message(), "cannot kill container: nosuch: No such container: nosuch");
    let kill = server.send("POST", "/containers/nosuch/kill?signal=x", "");
    let words = "cannot kill container: nosuch: invalid signal: x";
    assert_eq!((kill.status, kill.message().as_str()), (400, words));
    mica.import("tiny");
    let named = format!("/containers/create?name={long}");
    let refused = server.send("POST", &named, r#"{"Image":"tiny","Cmd":["x"]}"#);
    assert_eq!(refused.status, 400, "{refused:?}");
    let volume = format!(r#"{{"Name":"{long}"}}"#);
    assert_eq!(server.send("POST", "/volumes/create", &volume).status, 400);
    mica.ok("create --name one tiny x");
    let rename = format!("/containers/one/rename?name={long}");
    assert_eq!(server.send("POST", &rename, "").status, 400);
    let started = server.send("POST", "/containers/one/start", r#"{"Binds":[]}"#);
    assert!(started.message().starts_with("starting container with non-empty request body"));
    assert_eq!(server.send("POST", "/images/tiny/tag?repo=a:b&tag=c", "").status, 201);
    assert_eq!(mica.ok("images -q a:c"), mica.ok("images -q tiny"));
}

#[test]
fn clients_are_refused_what_came_after_their_version() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.import("tiny");
    let create = |version: &str, more: &str| {
        let document = format!(r#"{{"Image":"tiny","Cmd":["x"],{more}}}"#);
        server.send("POST", &format!("/v{version}/containers/create"), &document)
    };
    let several = r#""NetworkingConfig":{"EndpointsConfig":{"a":{},"b":{}}}"#;
    let refused = create("1.43", several);
    let words = "Container cannot be created with multiple network endpoints: a, b";
    assert_eq!((refused.status, refused.message().as_str()), (400, words));
    let mount = |mount: &str| format!(r#""HostConfig":{{"Mounts":[{{"Target":"/t",{mount}}}]}}"#);
    for (version, asked, words) in [
        (
            "1.43",
            r#""Type":"bind","Source":"/","BindOptions":{"ReadOnlyForceRecursive":true}"#,
            "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
        ),
        (
            "1.44",
            r#""Type":"volume","Source":"vv","VolumeOptions":{"Subpath":"a"}"#,
            "VolumeOptions.Subpath needs API v1.45 or newer",
        ),
        (
            "1.47",
            r#""Type":"image","Source":"tiny""#,
            "Mount type \"Image\" needs API v1.48 or newer",
        ),
    ] {
        let refused = create(version, &mount(asked));
        assert_eq!((refused.status, refused.message().as_str()), (400, words));
    }
    let foreign = mount(r#""Type":"tmpfs","VolumeOptions":{}"#);
    assert_eq!(create("1.41", &foreign).status, 201, "they were not looked at");
    let refused = create("1.42", &foreign).message();
    assert!(refused.ends_with("field VolumeOptions must not be specified"), "{refused}");
    let mode = |version: &str| {
        let made = create(version, r#""Tty":false"#).json();
        let path = format!("/containers/{}/json", made["Id"].as_str().unwrap());
        server.get(&path).json()["HostConfig"]["IpcMode"].as_str().unwrap().to_owned()
    };
    assert_eq!((mode("1.39").as_str(), mode("1.40").as_str()), ("shareable", "private"));
    let platform = "platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22s390x%22%7D";
    let status = |path: &str| server.get(&format!("{path}?{platform}")).status;
    assert_eq!((status("/v1.48/images/tiny/json"), status("/v1.49/images/tiny/json")), (200, 404));
    assert_eq!(status("/v1.47/images/tiny/history"), 200);
    assert_eq!(status("/v1.48/images/tiny/history"), 404);
    let usage = |version: &str| server.get(&format!("/v{version}/system/df")).json();
    assert!(usage("1.43")["Images"][0]["VirtualSize"].is_u64());
    assert!(usage("1.44")["Images"][0].get("VirtualSize").is_none());
    assert_eq!(server.get("/v1.49/info").json()["BridgeNfIptables"], true);
    assert!(server.get("/v1.50/info").json().get("BridgeNfIptables").is_none());
}

#[test]
fn what_a_container_cannot_stand_in_is_told_when_it_is_made() {
    let mica = Mica::new();
    let server = Server::start(&mica);
    mica.import("tiny");
    let address = |text: &str| {
        format!(
            r#""NetworkingConfig":{{"EndpointsConfig":{{"n":{{"IPAMConfig":{{"IPv4Address":"{text}"}}}}}}}}"#
        )
    };
    for (more, status, words) in [
        (address("x").as_str(), 400, "invalid IPv4 address: x"),
        (r#""HostConfig":{"MemorySwappiness":101}"#, 400, "valid memory swappiness range is 0-100"),
        (r#""HostConfig":{"MemorySwappiness":-2}"#, 400, "Invalid value: -2"),
        (r#""HostConfig":{"PidMode":"container:nosuch"}"#, 404, "No such container: nosuch"),
        (r#""HostConfig":{"IpcMode":"container:nosuch"}"#, 404, "No such container: nosuch"),
        (
            r#""HostConfig":{"NetworkMode":"container:x"},"MacAddress":"02:42:ac:11:00:02""#,
            400,
            "conflicting options: mac-address and the network mode",
        ),
        (
            r#""NetworkingConfig":{"EndpointsConfig":{"bridge":{},"host":{}}}"#,
            400,
            "conflicting options",
        ),
    ] {
        let document = format!(r#"{{"Image":"tiny","Cmd":["x"],{more}}}"#);
        let answered = server.send("POST", "/containers/create", &document);
        assert_eq!(answered.status, status, "{document}: {answered:?}");
        assert!(answered.message().contains(words), "{document}: {answered:?}");
    }
    let volume = |document: &str| {
        let answered = server.send("POST", "/volumes/create", document);
        (answered.status, answered.message())
    };
    let short = volume(r#"{"Name":"a"}"#);
    assert!(
        short.0 == 400 && short.1.starts_with("create a: volume name is too short"),
        "{short:?}"
    );
    let option = volume(r#"{"Name":"v9","DriverOpts":{"foo":"x"}}"#);
    assert_eq!(option, (400, "create v9: invalid option: \"foo\"".to_owned()));
    let pruned = server.send("POST", "/volumes/prune", "").json();
    assert_eq!(pruned["VolumesDeleted"], json!([]));
}

#[test]
fn rare_refusals_have_dockers_statuses() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    root.ok("network create inner");
    root.ok("run -d --name runs --network inner bb sleep 600");
    root.ok("create --name rests --network inner bb true");
    let refused = |method: &str, path: &str, document: &str, status: u16, words: &str| {
        let answer = server.send(method, path, document);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{path} {document}: {text}");
        assert!(text.contains(words), "{path} {document}: {text}");
    };
    let twice = "endpoint with name runs already exists in network inner";
    refused("POST", "/networks/inner/connect", r#"{"Container":"runs"}"#, 403, twice);
    refused("POST", "/networks/inner/connect", r#"{"Container":"rests"}"#, 200, "");
    for (network, status, words) in [
        (r#"{"Name":"x1","Driver":"host"}"#, 403, "only one instance of"),
        (r#"{"Name":"x1","Driver":"overlay"}"#, 503, "This node is not a swarm manager"),
        (r#"{"Name":"x1","Scope":"swarm"}"#, 403, "cannot create a swarm scoped network"),
    ] {
        refused("POST", "/networks/create", network, status, words);
    }
    refused("POST", "/containers/nothing/exec", "{}", 400, "No exec command specified");
    refused("GET", "/containers/nothing/attach/ws", "", 404, "No such container: nothing");
    let host = r#"{"Image":"bb","Cmd":["x"],"HostConfig":{"Privileged":true,"CapAdd":["odd"]}}"#;
    refused("POST", "/containers/create", host, 400, "unknown capability");
    let limit = r#"{"MemorySwap":-5}"#;
    refused("POST", "/containers/runs/update", limit, 400, "invalid memory swap limit -5");
    let limit = r#"{"CpuQuota":1000000000000000000}"#;
    refused("POST", "/containers/runs/update", limit, 400, "Cannot update container");
    let head = "Content-Type: application/x-tar\r\nContent-Length: 3\r\n";
    let loaded = server.send_raw("POST", "/images/load", head, b"odd");
    assert_eq!(loaded.status, 200, "what is wrong comes as a line");
    assert!(loaded.json()["errorDetail"]["message"].is_string(), "{loaded:?}");
    root.ok("rm -f runs rests");
    root.ok("network rm inner");
}
