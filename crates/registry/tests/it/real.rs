//! Debian's docker-registry: every verb of the protocol.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use registry::{Access, Begun, Sent, Target};
use spec::{Descriptor, Digest, Manifest, MediaType, Reference};

use crate::server::{blob, client};

struct Real {
    child: Child,
    host: String,
    _folder: tempfile::TempDir,
}

impl Real {
    /// One on a port of its own; nothing where it is not installed.
    fn start() -> Option<Real> {
        let folder = tempfile::tempdir().unwrap();
        let port = testkit::free_port();
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"}}\n",
            folder.path().join("data").display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let host = format!("127.0.0.1:{port}");
        for _ in 0..200 {
            if std::net::TcpStream::connect(&host).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        Some(Real { child, host, _folder: folder })
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_verb_works_with_a_real_registry() {
    let Some(real) = Real::start() else {
        return testkit::skip("docker-registry is not installed");
    };
    let client = client();
    let name = |text: &str| Reference::parse(&format!("{}/{text}", real.host)).unwrap();
    let repository = client.repository(&name("a/b"), Access::Push).unwrap();
    let (bytes, digest) = blob(300_000);
    let length = bytes.len() as u64;
    assert_eq!(repository.blob_bytes(&digest).unwrap(), None);
    let open = |at: u64| Ok(Box::new(&bytes[at as usize..]) as Box<dyn Read>);
    assert_eq!(repository.put_blob(&digest, length, None, &open).unwrap(), Sent::Whole);
    assert_eq!(repository.blob_bytes(&digest).unwrap(), Some(length));
    let mut read = Vec::new();
    repository.blob(digest, length).unwrap().read_to_end(&mut read).unwrap();
    assert!(read == bytes);
    // Piece by piece, asking in between how far it has got.
    let pieces = b"one two three four";
    let Begun::Waiting(mut upload) = repository.begin_upload(None).unwrap() else {
        panic!("mounted")
    };
    upload.piece(&pieces[..7]).unwrap();
    assert_eq!(upload.ask().unwrap(), 7);
    upload.piece(&pieces[7..]).unwrap();
    upload.finish(&Digest::of(pieces)).unwrap();
    // As a stream, and one that nobody wants any more.
    let Begun::Waiting(mut upload) = repository.begin_upload(None).unwrap() else {
        panic!("mounted")
    };
    upload.stream(&mut &b"streamed"[..]).unwrap();
    upload.finish(&Digest::of(b"streamed")).unwrap();
    let Begun::Waiting(upload) = repository.begin_upload(None).unwrap() else { panic!("mounted") };
    upload.cancel().unwrap();
    let config = Descriptor::of(MediaType::OciConfig, b"{}");
    let open = |at: u64| Ok(Box::new(&b"{}"[at as usize..]) as Box<dyn Read>);
    repository.put_blob(&config.digest, 2, None, &open).unwrap();
    let layer = Descriptor::new(MediaType::OciLayerGzip, digest, length);
    let manifest = Manifest::new(config, vec![layer]).to_bytes();
    let put =
        repository.put_document(&Target::Tag("v1".into()), &MediaType::OciManifest, &manifest);
    let manifest_digest = put.unwrap();
    let other = client.repository(&name("other"), Access::Push).unwrap();
    assert_eq!(
        other.put_blob(&digest, length, Some("a/b"), &|_| unreachable!()).unwrap(),
        Sent::Mounted
    );
    let found = repository.document(&Target::Digest(manifest_digest)).unwrap();
    assert_eq!((found.bytes, found.media_type), (manifest, MediaType::OciManifest));
    let head = repository.head(&Target::Tag("v1".into())).unwrap().unwrap();
    assert_eq!(head.digest, Some(manifest_digest));
    assert_eq!(repository.tags().unwrap(), ["v1"]);
    assert_eq!(client.catalog(&real.host).unwrap(), ["a/b", "other"]);
    assert!(repository.referrers(&manifest_digest, None).unwrap().is_empty());
    let owner = client.repository(&name("a/b"), Access::Delete).unwrap();
    owner.delete_document(&Target::Digest(manifest_digest)).unwrap();
    owner.delete_blob(&digest).unwrap();
    assert_eq!(repository.head(&Target::Tag("v1".into())).unwrap(), None);
    let error = repository.document(&Target::Tag("v1".into())).unwrap_err();
    assert_eq!(error.to_string(), "manifest unknown: manifest unknown");
}
