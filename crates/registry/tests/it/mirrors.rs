//! Hosts that have another registry's images, as containerd's `hosts.toml` names them.

use registry::{Access, Client, ClientSettings, RegistryError, Rules, Target};
use spec::{Digest, Reference};
use tempfile::TempDir;

use crate::server::{Server, answer, settings};

const INDEX: &str = "{\"schemaVersion\":2,\"manifests\":[],\"tags\":[]}";

/// A client for which a file says this of `r.test`.
fn client(text: &str) -> (Client, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("r.test")).unwrap();
    std::fs::write(folder.path().join("r.test/hosts.toml"), text).unwrap();
    let rules = Rules { host_folders: vec![folder.path().to_owned()], ..Rules::default() };
    (Client::new(ClientSettings { rules, ..settings() }), folder)
}

#[test]
fn a_mirror_is_told_whose_images_are_meant() {
    let server = Server::new(|_, _| answer(200, INDEX));
    let (client, _folder) = client(&format!("[host.\"http://{}\"]\n", server.host));
    let name = Reference::parse("r.test/a").unwrap();
    let repository = client.repository(&name, Access::Pull).unwrap();
    let digest = Digest::of(INDEX.as_bytes());
    repository.document(&Target::Tag("1".to_owned())).unwrap();
    repository.tags().unwrap();
    repository.referrers(&digest, None).unwrap();
    repository.referrers(&digest, Some("a/b")).unwrap();
    let paths: Vec<_> = server.asked().into_iter().map(|asked| asked.path).collect();
    let expected = [
        "/v2/a/manifests/1?ns=r.test".to_owned(),
        "/v2/a/tags/list?ns=r.test".to_owned(),
        format!("/v2/a/referrers/{digest}?ns=r.test"),
        format!("/v2/a/referrers/{digest}?artifactType=a%2Fb&ns=r.test"),
    ];
    assert_eq!(paths, expected);
}

#[test]
fn a_mirror_that_knows_of_no_referrers_hides_none() {
    let digest = Digest::of(INDEX.as_bytes());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let entry = format!("{{\"mediaType\":\"{kind}\",\"digest\":\"{digest}\",\"size\":7}}");
    let index = INDEX.replace("\"manifests\":[]", &format!("\"manifests\":[{entry}]"));
    let nothing = Server::new(|_, _| answer(200, INDEX));
    let home = Server::new(move |_, _| answer(200, &index));
    let hosts = format!("[host.\"http://{}\"]\n[host.\"http://{}\"]\n", nothing.host, home.host);
    let (client, _folder) = client(&hosts);
    let name = Reference::parse("r.test/a").unwrap();
    let repository = client.repository(&name, Access::Pull).unwrap();
    assert_eq!(repository.referrers(&digest, None).unwrap().len(), 1);
    assert_eq!(nothing.asked().len(), 1);
}

#[test]
fn what_nobody_may_be_pushed_to_says_so() {
    let (client, _folder) = client("capabilities = [\"pull\", \"resolve\"]\n");
    let name = Reference::parse("r.test/a").unwrap();
    assert!(client.repository(&name, Access::Pull).is_ok());
    let error = client.repository(&name, Access::Push).err().unwrap();
    assert!(matches!(error, RegistryError::NoPush(_)));
    assert_eq!(error.to_string(), "no host that has r.test/a may be pushed to");
}
