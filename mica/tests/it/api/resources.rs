//! Volumes, networks, what takes how much space; and what belongs to a swarm.

use serde_json::json;

use super::support::Server;
use crate::containers::support::Root;
use crate::need_programs;
use crate::support::Mica;

#[test]
fn volumes_are_made_listed_and_removed() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    assert_eq!(server.ok("volume create --label a=b data"), "data");
    assert_eq!(server.ok("volume inspect data"), root.ok("volume inspect data"));
    server.ok("run --rm --network none -v data:/data bb touch /data/x");
    assert_eq!(server.ok("volume ls -q --filter label=a=b"), "data");
    assert_eq!(server.ok("volume ls -q --filter dangling=true --filter label=a=c"), "");
    server.ok("create --name one --network none -v data:/data -v /other bb true");
    server.docker("volume rm data").complains(1, "remove data: volume is in use - [");
    server.ok("rm -v one");
    assert_eq!(server.ok("volume ls -q"), "data");
    server.docker("volume rm none").complains(1, "get none: no such volume");
    assert!(server.ok("volume prune -af").starts_with("Deleted Volumes:\ndata\n"));
    assert_eq!(server.send("POST", "/volumes/create", r#"{"Driver":"odd"}"#).status, 404);
}

#[test]
fn a_folder_is_made_where_a_client_asks_for_it() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let folder = root.root().with_file_name("made").join("here");
    let options = json!({ "CreateMountpoint": true });
    let mount = json!({ "Type": "bind", "Source": folder, "Target": "/x", "BindOptions": options });
    let host = json!({ "NetworkMode": "none", "Mounts": [mount] });
    let asked = json!({ "Image": "bb", "Cmd": ["touch", "/x/file"], "HostConfig": host });
    let made = server.send("POST", "/containers/create?name=one", &asked.to_string());
    assert_eq!(made.status, 201);
    assert_eq!(server.send("POST", "/containers/one/start", "").status, 204);
    assert_eq!(server.send("POST", "/containers/one/wait", "").status, 200);
    assert!(folder.join("file").exists());
}

#[test]
fn networks_are_made_joined_and_removed() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let id = server.ok("network create --subnet 10.211.7.0/24 --gateway 10.211.7.9 own");
    assert_eq!(server.ok("network ls -q --no-trunc --filter name=own"), id);
    assert_eq!(server.ok("network inspect own"), root.ok("network inspect own"));
    let gateway = server.ok("network inspect -f '{{(index .IPAM.Config 0).Gateway}}' own");
    assert_eq!(gateway, "10.211.7.9");
    server.ok("create --name one --network none bb true");
    server.docker("network connect own one").complains(1, "");
    server.ok("create --name two --network own bb true");
    assert_eq!(server.ok("inspect -f '{{.HostConfig.NetworkMode}}' two"), "own");
    server.ok("network disconnect own two");
    server.docker("network inspect none2").complains(1, "network none2 not found");
    server.docker("network create own").complains(1, "already exists");
    let refused = |flags: &str, words: &str| {
        server.docker(&format!("network create {flags} x")).complains(1, words);
    };
    refused("--subnet 10.95.0.7/24", "invalid subnet 10.95.0.7/24: it should be 10.95.0.0/24");
    let two = "--subnet 10.91.0.0/24 --subnet 10.92.0.0/24";
    refused(two, "bridge driver doesn't support multiple subnets");
    refused("-d macvlan -o parent=lo", "loopback interface is not a valid macvlan parent link");
    server.ok("network create --ipam-opt a=b --ipam-driver default kept");
    assert_eq!(server.ok("network inspect -f '{{json .IPAM.Options}}' kept"), r#"{"a":"b"}"#);
    server.docker("network rm bridge").complains(1, "pre-defined network and cannot be removed");
    server.ok("network rm own");
    server.ok("rm one two");
    let wrong = r#"{"Name":"x","IPAM":{"Config":[{"Subnet":"nonsense"}]}}"#;
    assert_eq!(server.send("POST", "/networks/create", wrong).status, 400);
}

#[test]
fn what_takes_how_much_space() {
    need_programs!("docker");
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    server.ok("create --name one --network none -v data:/data bb true");
    let usage = server.ok("system df --format '{{.Type}} {{.TotalCount}}'");
    assert_eq!(usage, "Images 1\nContainers 1\nLocal Volumes 1\nBuild Cache 0");
    assert!(server.ok("system df -v").contains("Local Volumes space usage"));
    let one = server.get("/system/df?type=volume").json();
    assert_eq!(one["Volumes"][0]["UsageData"]["RefCount"], json!(1));
    assert_eq!(one.get("Images"), None);
    assert_eq!(server.get("/system/df?type=odd").status, 400);
    let raw = "system df -v --format raw";
    assert_eq!(server.ok(raw), root.ok(raw), "in docker's own lines");
    server.ok("system prune -af --volumes");
    assert_eq!(server.ok("ps -aq"), "");
}

#[test]
fn there_is_no_swarm() {
    need_programs!("docker");
    let mica = Mica::new();
    let server = Server::start(&mica);
    for line in ["service ls", "node ls", "stack ls", "secret ls", "config ls", "swarm ca"] {
        server.docker(line).complains(1, "This node is not a swarm manager.");
    }
    server.docker("swarm init").complains(1, "mica has no swarm mode");
    assert_eq!(server.ok("plugin ls -q"), "");
    server.docker("plugin inspect odd").complains(1, "odd");
    assert_eq!(server.get("/v1.24/secrets").status, 404, "they came with 1.25");
}
