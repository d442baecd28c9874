//! Debian's docker-registry, and skopeo and podman beside mica at the same one.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use registry::{Access, Client, ClientSettings, Target};
use serde_json::json;
use spec::{Descriptor, Digest, Index, MediaType, Platform, Reference};

use super::peers::{Peer, Server, digest_in, must_have, rich};
use crate::support::{Image, Mica, Run, short};
use crate::{need_peers, need_programs};

/// A registry of one test, gone when the test is.
pub(crate) struct Registry {
    _child: Server,
    host: String,
}

/// `me` with the password `swordfish`, as `htpasswd -B` writes it.
pub(super) const HTPASSWD: &str =
    "me:$2b$04$abcdefghijklmnopqrstuugIEnm3ZbWF6xb2GcoE3L1CoGJFMKtu.\n";

impl Registry {
    pub(crate) fn plain(mica: &Mica) -> Registry {
        Registry::start(mica, "", "")
    }

    fn with_passwords(mica: &Mica) -> Registry {
        let file = mica.file("htpasswd", HTPASSWD);
        let auth = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
        Registry::start(mica, "", &auth)
    }

    fn start(mica: &Mica, http: &str, more: &str) -> Registry {
        let port = testkit::free_port();
        let data = mica.path("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"{http}}}\n{more}",
            data.display()
        );
        let config = mica.file("registry.yml", text);
        let mut command = mica.program("docker-registry");
        command.arg("serve").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Registry {
            _child: Server(command.spawn().unwrap()),
            host: format!("127.0.0.1:{port}"),
        };
        for _ in 0..400 {
            if TcpStream::connect(&registry.host).is_ok() {
                return registry;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("the registry does not come up");
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }
}

#[test]
fn what_is_pushed_comes_back() {
    need_peers!("docker-registry");
    let mica = Mica::on_disk();
    let registry = Registry::plain(&mica);
    let name = registry.name("me/rich:1.0");
    let image = rich(&[&name]);
    let id = mica.load(&image);
    let diffs = image.diff_ids();
    let pushed = mica.ok(&format!("push {name}"));
    let digest = digest_in(pushed.lines().last().unwrap());
    let mut expected = format!("The push refers to repository [{}]\n", registry.name("me/rich"));
    for diff in diffs.iter().rev() {
        expected.push_str(&format!("{}: Preparing\n", short(diff)));
    }
    assert!(pushed.starts_with(&expected), "{pushed}\nwanted: {expected}");
    for diff in &diffs {
        assert!(pushed.contains(&format!("{}: Pushed\n", short(diff))), "{pushed}");
    }
    assert!(pushed.lines().last().unwrap().starts_with("1.0: digest: sha256:"), "{pushed}");
    let again = mica.ok(&format!("push {name}"));
    assert_eq!(again.matches(": Layer already exists\n").count(), diffs.len(), "{again}");
    assert_eq!(digest_in(again.lines().last().unwrap()), digest);
    assert_eq!(mica.ok(&format!("push -q {name}")), name);
    // The same layers under another name are mounted there.
    mica.ok(&format!("tag {name} {}", registry.name("you/copy")));
    let copied = mica.ok(&format!("push {}", registry.name("you/copy")));
    assert!(copied.starts_with("Using default tag: latest\n"), "{copied}");
    assert!(copied.contains(": Mounted from me/rich\n") && copied.contains(&digest), "{copied}");
    mica.ok(&format!("rmi -f {id}"));
    mica.must_be_empty();
    let pulled = mica.ok(&format!("pull {name}"));
    assert!(pulled.starts_with("1.0: Pulling from me/rich\n"), "{pulled}");
    assert_eq!(pulled.matches(": Pulling fs layer\n").count(), diffs.len(), "{pulled}");
    assert_eq!(pulled.matches(": Pull complete\n").count(), diffs.len(), "{pulled}");
    let end = format!("Digest: {digest}\nStatus: Downloaded newer image for {name}\n{name}");
    assert!(pulled.ends_with(&end), "{pulled}\nwanted: {end}");
    must_have(&mica, &name, &image, "pulled");
    let again = mica.ok(&format!("pull {name}"));
    assert!(again.ends_with(&format!("Status: Image is up to date for {name}\n{name}")), "{again}");
    assert_eq!(again.matches(": Already exists\n").count(), diffs.len(), "{again}");
    assert_eq!(mica.ok(&format!("pull -q {name}")), name);
    let by_digest = registry.name(&format!("me/rich@{digest}"));
    assert!(mica.ok(&format!("pull {by_digest}")).ends_with(&by_digest));
    // Beside a digest a tag says nothing, and is not said.
    let both = mica.ok(&format!("pull {name}@{digest}"));
    assert!(both.starts_with(&format!("{by_digest}: Pulling from me/rich\n")), "{both}");
    assert!(both.contains(&format!(" up to date for {by_digest}\n")), "{both}");
    let shown = &mica.json(&format!("inspect {by_digest}"))[0];
    assert_eq!((&shown["Id"], &shown["RepoDigests"]), (&json!(id), &json!([by_digest])));
    // What came from a registry goes back bit for bit.
    let back = mica.ok(&format!("push {name}"));
    assert_eq!(digest_in(back.lines().last().unwrap()), digest);
    mica.must_be_whole();
}

#[test]
fn all_tags_go_and_come() {
    need_programs!("docker-registry");
    let mica = Mica::new();
    let registry = Registry::plain(&mica);
    let names = [registry.name("app:1"), registry.name("app:2")];
    names.iter().for_each(|name| drop(mica.import(name)));
    let pushed = mica.ok(&format!("push -a {}", registry.name("app")));
    assert!(pushed.contains("\n1: digest: ") && pushed.contains("\n2: digest: "), "{pushed}");
    mica.ok(&format!("rmi {} {}", names[0], names[1]));
    let pulled = mica.ok(&format!("pull --all-tags {}", registry.name("app")));
    assert!(pulled.ends_with(&format!("\n{}", registry.name("app"))), "{pulled}");
    let mut here: Vec<String> =
        mica.ok("images --format {{.Tag}}").lines().map(str::to_owned).collect();
    here.sort();
    assert_eq!(here, ["1", "2"]);
}

#[test]
fn mistakes_are_told_in_dockers_words() {
    need_programs!("docker-registry");
    let mica = Mica::new();
    let registry = Registry::plain(&mica);
    mica.import(&registry.name("app:1"));
    mica.ok(&format!("push {}", registry.name("app:1")));
    let unknown = registry.name("app:3");
    mica.run(&format!("pull {unknown}")).fails(
        1,
        &format!("Error response from daemon: manifest for {unknown} not found: manifest unknown: manifest unknown\n"),
    );
    mica.run("push nobody").complains(1, "An image does not exist locally with the tag: nobody\n");
    let untagged = registry.name("app:2");
    // Docker's client tells what comes of a push without saying that the daemon said it.
    let run = mica.run(&format!("push {untagged}"));
    assert!(run.err.starts_with(&format!("tag does not exist: {untagged}\n")), "{run}");
    mica.run("pull -a app:1").fails(1, "tag can't be used with --all-tags/-a\n");
    mica.run("push -a app:1").fails(1, "tag can't be used with --all-tags/-a\n");
    mica.run("pull App")
        .fails(1, "invalid reference format: repository name (library/App) must be lowercase\n");
    mica.run("login --password-stdin x")
        .fails(1, "the --password-stdin option requires --username to be set\n");
    mica.run("login -u me x")
        .fails(1, "Error: Cannot perform an interactive login from a non TTY device\n");
    mica.run("pull scratch")
        .complains(1, "Error response from daemon: 'scratch' is a reserved name\n");
    mica.run("pull 127.0.0.1:1/x")
        .complains(1, "dial tcp 127.0.0.1:1: connect: connection refused");
}

#[test]
fn whoever_logs_in_may_push() {
    need_programs!("docker-registry");
    let mica = Mica::new();
    let registry = Registry::with_passwords(&mica);
    let (name, host) = (registry.name("app:1"), registry.host.clone());
    mica.import(&name);
    mica.run(&format!("push {name}")).complains(1, "no basic auth credentials\n");
    let wrong = mica.run_with(&format!("login -u me --password-stdin {host}"), b"nonsense\n");
    wrong.complains(
        1,
        &format!("login attempt to http://{host}/v2/ failed with status: 401 Unauthorized"),
    );
    let right = mica.run_with(&format!("login -u me --password-stdin {host}"), b"swordfish\n");
    right.prints("Login Succeeded\n");
    let flag = mica.run(&format!("login -u me -p swordfish {host}"));
    assert_eq!(
        flag.err,
        "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n"
    );
    mica.ok(&format!("push {name}"));
    assert!(mica.ok(&format!("pull {name}")).contains("up to date"));
    let home = mica.work().parent().unwrap().join("home");
    let vault = home.join(".config/mica/credentials.json");
    let text = fs::read_to_string(&vault).unwrap();
    assert!(!text.contains("swordfish") && !text.contains("c3dvcmRmaXNo"), "{text}");
    assert_eq!(fs::metadata(&vault).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!home.join(".docker/config.json").exists());
    mica.run(&format!("logout {host}")).prints(&format!("Removing login credentials for {host}\n"));
    mica.run(&format!("push {name}")).complains(1, "no basic auth credentials\n");
    // Docker's own logins work, and only who asks for it gets one written down in the clear.
    fs::create_dir(home.join(".docker")).unwrap();
    let config = json!({ "auths": { &host: { "auth": "bWU6c3dvcmRmaXNo" } } });
    fs::write(home.join(".docker/config.json"), config.to_string()).unwrap();
    mica.ok(&format!("push {name}"));
    mica.ok(&format!("logout {host}"));
    let file = mica.file("plain.toml", "[registries]\ncredentials = \"plain\"\n");
    let line = format!("--config {} login -u me --password-stdin {host}", file.display());
    let plain = mica.run_with(&line, b"swordfish");
    assert!(plain.err.contains("WARNING! Your credentials are stored unencrypted in"), "{plain}");
    let text = fs::read_to_string(home.join(".docker/config.json")).unwrap();
    assert!(text.contains("bWU6c3dvcmRmaXNo"), "{text}");
}

/// Makes a key and a certificate for this machine, signed by an authority of its own.
pub(crate) fn certificate(mica: &Mica, name: &str) {
    let run = |line: String| {
        let output = mica.program("openssl").args(line.split(' ')).output().unwrap();
        let run = Run::of(&line, output);
        assert!(run.code == 0, "{run}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    run(format!(
        "req -x509 {key} -keyout {name}-ca.key -out {name}-ca.crt -subj /CN={name} -days 2"
    ));
    run(format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN=127.0.0.1"));
    mica.file(&format!("{name}.ext"), "subjectAltName=IP:127.0.0.1\n");
    run(format!(
        "x509 -req -in {name}.csr -CA {name}-ca.crt -CAkey {name}-ca.key -CAcreateserial -days 2 \
         -extfile {name}.ext -out {name}.crt"
    ));
}

#[test]
fn a_private_authority_is_believed_where_it_lies() {
    need_programs!("docker-registry", "openssl");
    let mica = Mica::new();
    certificate(&mica, "one");
    certificate(&mica, "other");
    let path = |name: &str| mica.path(name).display().to_string();
    let tls = format!(
        ", tls: {{certificate: {}, key: {}, clientcas: [{}]}}",
        path("one.crt"),
        path("one.key"),
        path("other-ca.crt")
    );
    let registry = Registry::start(&mica, &tls, "");
    let name = registry.name("app:1");
    mica.import(&name);
    let folder = mica.path("certs.d").join(&registry.host);
    fs::create_dir_all(&folder).unwrap();
    let config =
        mica.file("tls.toml", format!("[registries]\nhost-folders = [\"{}\"]\n", path("certs.d")));
    let push = format!("--config {} push {name}", config.display());
    fs::copy(mica.path("other-ca.crt"), folder.join("ca.crt")).unwrap();
    mica.run(&push).complains(1, "certificate");
    fs::copy(mica.path("one-ca.crt"), folder.join("ca.crt")).unwrap();
    // The registry wants to know who we are, too.
    assert_eq!(mica.run(&push).code, 1);
    fs::copy(mica.path("other.crt"), folder.join("client.cert")).unwrap();
    fs::copy(mica.path("other.key"), folder.join("client.key")).unwrap();
    mica.ok(&push);
    mica.ok(&format!("rmi {name}"));
    mica.ok(&format!("--config {} pull {name}", config.display()));
}

#[test]
fn skopeo_and_podman_see_the_same_digests() {
    need_peers!("docker-registry", "skopeo", "podman");
    let mica = Mica::on_disk();
    let (skopeo, podman) = (Peer::new(&mica, "skopeo"), Peer::new(&mica, "podman"));
    let registry = Registry::plain(&mica);
    let name = registry.name("rich:1.0");
    let image = rich(&[&name]);
    mica.load(&image);
    let pushed = mica.ok(&format!("push {name}"));
    let digest = digest_in(pushed.lines().last().unwrap());
    let shown = skopeo.json(&format!("inspect --tls-verify=false docker://{name}"));
    assert_eq!(shown["Digest"], json!(digest));
    let policy = "--signature-policy policy.json";
    podman.ok(&format!("pull -q --tls-verify=false {policy} {name}"));
    let in_podman = &podman.json(&format!("image inspect {name}"))[0];
    assert_eq!(format!("sha256:{}", in_podman["Id"].as_str().unwrap()), image.id());
    assert_eq!(in_podman["Digest"], json!(digest));
    // Each pushes it once more, and mica pulls what they pushed.
    let from_podman = registry.name("podman:1");
    podman.ok(&format!("push -q --tls-verify=false {policy} {name} {from_podman}"));
    let from_skopeo = registry.name("skopeo:1");
    skopeo.ok(&format!(
        "--policy policy.json copy --quiet --src-tls-verify=false --dest-tls-verify=false --format oci --dest-compress-format zstd docker://{name} docker://{from_skopeo}"
    ));
    mica.ok(&format!("rmi -f {}", image.id()));
    for name in [&from_podman, &from_skopeo] {
        let pulled = mica.ok(&format!("pull {name}"));
        let theirs = skopeo.json(&format!("inspect --tls-verify=false docker://{name}"));
        assert!(pulled.contains(theirs["Digest"].as_str().unwrap()), "{pulled}");
        let back = mica.ok(&format!("push {name}"));
        assert_eq!(json!(digest_in(back.lines().last().unwrap())), theirs["Digest"], "{name}");
    }
    must_have(&mica, &from_podman, &image, "from podman");
    mica.must_be_whole();
}

#[test]
fn an_index_is_pulled_for_a_platform() {
    need_programs!("docker-registry");
    let mica = Mica::new();
    let registry = Registry::plain(&mica);
    let platforms = ["linux/amd64", "linux/arm64"];
    let client = Client::new(ClientSettings::default());
    let name = Reference::parse(&registry.name("app")).unwrap();
    let repository = client.repository(&name, Access::Push).unwrap();
    let mut entries = Vec::new();
    for (at, platform) in platforms.iter().enumerate() {
        let tag = registry.name(&format!("app:{at}"));
        mica.file("fs.tar", testkit::Layer::new().file("arch", *platform).tar());
        mica.ok(&format!("import --platform {platform} fs.tar {tag}"));
        mica.ok(&format!("push -q {tag}"));
        let document = repository.document(&Target::Tag(at.to_string())).unwrap();
        let mut entry = Descriptor::of(document.media_type, &document.bytes);
        entry.platform = Some(Platform::parse(platform).unwrap());
        entries.push(entry);
        mica.ok(&format!("rmi {tag}"));
    }
    let index = Index::new(entries).to_bytes();
    repository.put_document(&Target::Tag("all".into()), &MediaType::OciIndex, &index).unwrap();
    let all = registry.name("app:all");
    for platform in platforms {
        let pulled = mica.ok(&format!("pull --platform {platform} {all}"));
        assert!(pulled.contains(&format!("Digest: {}\n", Digest::of(&index))), "{pulled}");
        let shown = &mica.json(&format!("image inspect --platform {platform} {all}"))[0];
        assert_eq!(shown["Architecture"], json!(platform.split_once('/').unwrap().1));
    }
    // Both are here now, so that the whole index can be pushed again.
    let pushed = mica.ok(&format!("push {all}"));
    assert!(
        pushed.ends_with(&format!("all: digest: {} size: {}", Digest::of(&index), index.len())),
        "{pushed}"
    );
    mica.run(&format!("pull --platform linux/s390x {all}")).complains(
        1,
        "Error response from daemon: no matching manifest for linux/s390x in the manifest list entries\n",
    );
    mica.must_be_whole();
}

#[test]
fn a_damaged_layer_leaves_nothing_behind() {
    need_programs!("docker-registry");
    let mica = Mica::new();
    let registry = Registry::plain(&mica);
    let name = registry.name("app:1");
    let layers =
        ["one", "two", "three"].map(|text| testkit::Layer::new().file(text, text.repeat(9999)));
    let image =
        layers.into_iter().fold(Image::new(&[&name]), |image, layer| image.layer(layer, "x"));
    mica.load(&image);
    mica.ok(&format!("push {name}"));
    let manifest = mica.json(&format!("manifest inspect {name}"));
    let layer = manifest["layers"][1]["digest"].as_str().unwrap().replace("sha256:", "");
    mica.ok(&format!("rmi -f {}", image.id()));
    let blob =
        mica.path(format!("registry/docker/registry/v2/blobs/sha256/{}/{layer}/data", &layer[..2]));
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::File::create(&blob).unwrap().write_all(&bytes).unwrap();
    let run = mica.run(&format!("pull {name}"));
    assert!(run.code == 1 && !run.out.contains("Status:"), "{run}");
    mica.must_be_empty();
}
