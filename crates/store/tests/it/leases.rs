//! What is being made is protected for as long as its maker lives.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use store::Present;
use testkit::{Child, Layer, Scratch, child};

fn tar(name: &str) -> Vec<u8> {
    Layer::new().file(name, "content").tar()
}

#[test]
fn a_living_lease_protects_what_it_made_and_counts_on() {
    let scratch = Scratch::new();
    let lease = scratch.store.lease().unwrap();
    let document = scratch.store.put_document(&lease, b"{}").unwrap();
    let (top, layers) = scratch.load(&lease, &[tar("a"), tar("b")]).unwrap();
    let before = scratch.store.present().unwrap();
    assert_eq!(scratch.store.collect().unwrap().layers, []);
    assert_eq!(scratch.store.present().unwrap(), before);
    let id = scratch.publish(&lease, "image", top, &layers).unwrap();
    drop(lease);
    // Now the image protects its layers, and nothing the stray document.
    scratch.store.collect().unwrap();
    assert!(!scratch.store.has_blob(&document));
    assert!(scratch.store.tables().unwrap().layers.layers.len() == 2);
    // What somebody counts on stays though its image goes.
    let lease = scratch.open_again().lease().unwrap();
    lease.protect_chain(&top.unwrap()).unwrap();
    lease.protect_blob(&id.0).unwrap();
    assert_eq!(scratch.remove_image(id).unwrap().layers, []);
    assert!(scratch.store.has_blob(&id.0));
    drop(lease);
    assert_eq!(scratch.store.collect().unwrap().layers.len(), 2);
    assert_eq!(scratch.store.present().unwrap(), Present::default());
    assert!(std::fs::read_dir(scratch.store.paths().leases()).unwrap().next().is_none());
}

#[test]
fn what_is_on_its_way_in_is_nobody_elses_business() {
    let scratch = Scratch::new();
    let lease = scratch.store.lease().unwrap();
    let source = tar("a");
    let mut source = source.as_slice();
    let unpacked = scratch.store.unpack_layer(&lease, &mut source, Default::default()).unwrap();
    assert!(!scratch.store.present().unwrap().asides.is_empty());
    scratch.open_again().collect().unwrap();
    scratch.must_be_clean();
    let layers = scratch.store.tables().unwrap().layers;
    scratch.store.adopt_layer(&lease, unpacked, None, &layers).unwrap();
}

/// Removing an image takes all that only it needed: a full collection finds nothing more to do.
#[test]
fn a_removal_leaves_nothing_for_a_full_collection() {
    let scratch = Scratch::new();
    let keep = |bytes: &[u8]| {
        let lease = scratch.store.lease().unwrap();
        let digest = scratch.store.put_document(&lease, bytes).unwrap();
        let media_type = spec::MediaType::OciManifest;
        (lease, store::ManifestRef { digest, media_type, size: bytes.len() as u64 })
    };
    let gzip = Layer::new().file("packed", "content").compressed("gzip");
    let tars = [tar("a"), gzip.unwrap_or_else(|| tar("packed"))];
    let (id, _) = scratch.add_image("image", &tars).unwrap();
    let (other, _) = scratch.add_image("other", &[tar("a")]).unwrap();
    let (manifest, index, old) = (keep(b"manifest"), keep(b"index"), keep(b"an older index"));
    let named = |images: &mut store::Images, index: &store::ManifestRef| {
        images.names.get_mut("image").unwrap().index = Some(index.clone().into());
    };
    let change = |images: &mut store::Images| {
        images.images.get_mut(&id).unwrap().manifest = Some(manifest.1.clone().into());
        named(images, &old.1);
        Ok(())
    };
    scratch.store.change_images::<_, store::StoreError>(change).unwrap();
    drop((manifest.0, old.0));
    let change = |images: &mut store::Images| {
        named(images, &index.1);
        Ok(())
    };
    scratch.store.remove_images::<_, store::StoreError>(change).unwrap();
    assert!(!scratch.store.has_blob(&old.1.digest), "the name has another index now");
    drop(index.0);
    for id in [id, other] {
        scratch.remove_image(id).unwrap();
        let left = scratch.store.present().unwrap();
        scratch.store.collect().unwrap();
        assert_eq!(scratch.store.present().unwrap(), left);
    }
    assert_eq!(scratch.store.present().unwrap(), Present::default());
}

/// A process that is killed protects nothing any more, and leaves nothing that stays.
#[test]
fn the_dead_protect_nothing() {
    if let Child::Role(role) = Child::this() {
        let (root, run) = role.split_once('|').unwrap();
        let mut settings = Scratch::new().settings().clone();
        (settings.root, settings.run) = (root.into(), run.into());
        let store = store::Store::open(settings).unwrap();
        let lease = store.lease().unwrap();
        store.put_document(&lease, b"a document").unwrap();
        let source = tar("unfinished");
        let mut source = source.as_slice();
        let unpacked = store.unpack_layer(&lease, &mut source, Default::default()).unwrap();
        println!("ready");
        std::io::stdout().flush().unwrap();
        std::thread::sleep(std::time::Duration::from_secs(600));
        drop((unpacked, lease));
        return;
    }
    let scratch = Scratch::new();
    let settings = scratch.settings();
    let role = format!("{}|{}", settings.root.display(), settings.run.display());
    let mut child =
        child("leases::the_dead_protect_nothing", &role).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).any(|line| line.contains("ready"));
    assert!(ready, "the child did not get ready");
    scratch.store.collect().unwrap();
    let alive = scratch.store.present().unwrap();
    assert_eq!((alive.blobs.len(), alive.asides.is_empty()), (1, false));
    scratch.must_be_clean();
    child.kill().unwrap();
    child.wait().unwrap();
    let report = scratch.store.check(false).unwrap();
    assert_eq!(report.faults.len(), 1 + alive.asides.len());
    scratch.store.collect().unwrap();
    assert_eq!(scratch.store.present().unwrap(), Present::default());
    scratch.must_be_clean();
}

#[test]
fn collectors_and_makers_meet_without_harm() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        for maker in 0..3 {
            let scratch = &scratch;
            scope.spawn(move || {
                for round in 0..15 {
                    let tars = [tar("shared"), tar(&format!("{maker}-{round}"))];
                    let name = format!("image-{maker}");
                    let (id, top) = scratch.add_image(&name, &tars).unwrap();
                    assert!(scratch.tree(top).get("shared").is_some());
                    if round % 2 == 0 {
                        scratch.remove_image(id).unwrap();
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..60 {
                scratch.open_again().collect().unwrap();
            }
        });
    });
    scratch.store.collect().unwrap();
    scratch.must_be_clean();
}
