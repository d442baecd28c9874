//! Every kind of damage is found and named, and what can be mended is.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use spec::ImageId;
use store::{DriverKind, ManifestRef, StoreError};
use testkit::{Layer, Scratch, Tree};

struct Sick {
    scratch: Scratch,
    image: ImageId,
    tree: Tree,
    top: spec::ChainId,
}

const GZIP: &str = "gzip";

/// An image of two layers, the upper one compressed, in a store that is then damaged.
fn store(driver: DriverKind) -> Option<Sick> {
    let scratch = match Scratch::with_driver(driver) {
        Ok(scratch) => scratch,
        Err(why) => {
            testkit::skip(format!("the {driver} driver does not work here: {why}"));
            return None;
        }
    };
    let lower = Layer::new().folder("d").mode(0o711).file("d/f", "lower").link("l", "d/f");
    let upper = Layer::new()
        .file("d/g", vec![b'u'; 5000])
        .mode(0o600)
        .owner(5, 6)
        .xattr("user.a", "1")
        .whiteout("l")
        .file("one", "twice")
        .hard_link("two", "one");
    let Some(gzip) = upper.compressed(GZIP) else {
        testkit::skip("there is no gzip program");
        return None;
    };
    let (image, top) = scratch.add_image("image", &[lower.tar(), gzip]).expect("it is taken");
    scratch.must_be_clean();
    let tree = scratch.tree(top);
    scratch.store.unmount_all().expect("nothing is in use");
    Some(Sick { scratch, image, tree, top: top.expect("there are layers") })
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

/// Damages a fresh store, and checks what is found, what is mended, and that the tree is as it
/// was if all is.
#[track_caller]
fn check(driver: DriverKind, what: &str, mended: bool, damage: impl Fn(&Sick)) {
    let Some(sick) = store(driver) else { return };
    damage(&sick);
    let store = &sick.scratch.store;
    let report = store.check(false).unwrap();
    let found: Vec<_> = report.faults.iter().map(|f| format!("{}: {}", f.what, f.why)).collect();
    assert!(found.iter().any(|fault| fault.contains(what)), "{what}: {found:#?}");
    assert!(!report.is_clean());
    let again = store.check(false).unwrap();
    assert_eq!(again.faults.len(), report.faults.len(), "looking changed something");
    let repaired = store.check(true).unwrap();
    assert_eq!(repaired.is_clean(), mended, "{what}: {:#?}", repaired.faults);
    if mended {
        sick.scratch.must_be_clean();
        let top = store.images().unwrap().images[&sick.image].top;
        sick.scratch.tree(top).must_equal(&sick.tree, what);
    }
}

#[test]
fn a_damaged_tar_is_made_again_from_its_blob_or_not_at_all() {
    check(DriverKind::Erofs, "the tar of layer", true, |sick| {
        let record = sick.scratch.record(sick.top);
        flip(&sick.scratch.blob(&record.diff.0), 700);
    });
    check(DriverKind::Erofs, "the tar of layer", true, |sick| {
        let record = sick.scratch.record(sick.top);
        fs::remove_file(sick.scratch.blob(&record.diff.0)).unwrap();
    });
    check(DriverKind::Erofs, "the tar of layer", false, |sick| {
        let below = sick.scratch.record(sick.top).parent.unwrap();
        flip(&sick.scratch.blob(&sick.scratch.record(below).diff.0), 0);
    });
}

#[test]
fn a_damaged_blob_is_forgotten_if_the_tar_is_well() {
    for (driver, mended) in [(DriverKind::Erofs, true), (DriverKind::Overlay, false)] {
        for remove in [false, true] {
            check(driver, "the compressed blob of layer", mended, |sick| {
                let blob = sick.scratch.record(sick.top).blob.unwrap();
                let path = sick.scratch.blob(&blob.digest);
                if remove { fs::remove_file(path).unwrap() } else { flip(&path, blob.bytes / 2) }
            });
        }
    }
}

#[test]
fn both_forms_damaged_cannot_be_mended() {
    check(DriverKind::Erofs, "the tar of layer", false, |sick| {
        let record = sick.scratch.record(sick.top);
        flip(&sick.scratch.blob(&record.diff.0), 600);
        flip(&sick.scratch.blob(&record.blob.unwrap().digest), 20);
    });
}

#[test]
fn a_damaged_index_is_made_again() {
    for driver in [DriverKind::Erofs, DriverKind::Overlay] {
        let index = |sick: &Sick| sick.scratch.store.paths().index(&sick.top);
        check(driver, "the index of layer", true, |sick| flip(&index(sick), 1536 + 4));
        check(driver, "the index of layer", true, |sick| flip(&index(sick), 1024));
        check(driver, "the index of layer", true, |sick| fs::remove_file(index(sick)).unwrap());
        check(driver, "the index of layer", true, |sick| {
            fs::File::options().write(true).open(index(sick)).unwrap().set_len(512).unwrap();
        });
        // Both at once: the upper one needs the lower one.
        check(driver, "the index of layer", true, |sick| {
            let below = sick.scratch.record(sick.top).parent.unwrap();
            flip(&sick.scratch.store.paths().index(&below), 1024);
            flip(&index(sick), 1024);
        });
    }
}

#[test]
fn an_index_that_lies_with_its_record_is_found_out() {
    for driver in [DriverKind::Erofs, DriverKind::Overlay] {
        check(driver, "the mode is another", true, |sick| {
            let other = Scratch::with_driver(driver).unwrap();
            let lower = Layer::new().folder("d").mode(0o777).file("d/f", "lower").link("l", "d/f");
            let top = other.add_tars(&[lower.tar()]).unwrap().unwrap();
            let below = sick.scratch.record(sick.top).parent.unwrap();
            let paths = (other.store.paths().index(&top), sick.scratch.store.paths().index(&below));
            fs::copy(paths.0, paths.1).unwrap();
            let index = other.record(top).index;
            sick.scratch
                .store
                .change::<_, StoreError>(|tables| {
                    tables.layers.layers.get_mut(&below).unwrap().index = index;
                    Ok(())
                })
                .unwrap();
        });
        check(driver, "the record of layer", true, |sick| {
            sick.scratch
                .store
                .change::<_, StoreError>(|tables| {
                    tables.layers.layers.get_mut(&sick.top).unwrap().entries += 1;
                    Ok(())
                })
                .unwrap();
        });
    }
}

#[test]
fn a_folder_that_was_changed_is_made_again() {
    let folder =
        |sick: &Sick| sick.scratch.store.paths().folder(DriverKind::Overlay.as_str(), &sick.top);
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 10] = [
        ("content has changed", |folder| {
            let file = folder.join("d/g");
            let before = fs::metadata(&file).unwrap().modified().unwrap();
            flip(&file, 4000);
            fs::File::options().write(true).open(&file).unwrap().set_modified(before).unwrap();
        }),
        ("size has changed", |folder| {
            let file = fs::File::options().write(true).open(folder.join("d/g")).unwrap();
            let before = file.metadata().unwrap().modified().unwrap();
            file.set_len(4999).unwrap();
            file.set_modified(before).unwrap();
        }),
        ("mode has changed", |folder| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
            fs::set_permissions(folder.join("d/g"), mode).unwrap();
        }),
        ("owner has changed", |folder| {
            std::os::unix::fs::chown(folder.join("d/g"), Some(0), Some(0)).unwrap();
        }),
        ("is missing", |folder| fs::remove_file(folder.join("d/g")).unwrap()),
        ("is not of the layer", |folder| fs::write(folder.join("d/stranger"), "").unwrap()),
        ("is missing", |folder| fs::remove_file(folder.join("l")).unwrap()),
        ("has changed", |folder| {
            fs::remove_file(folder.join("two")).unwrap();
            fs::copy(folder.join("one"), folder.join("two")).unwrap();
        }),
        ("list of extended attributes has changed", |folder| {
            let folder = sys::fs::open_folder(folder).unwrap();
            sys::fs::set_xattr(&folder, b"user.new", b"1").unwrap();
        }),
        ("driver has nothing of it", |folder| fs::remove_dir_all(folder).unwrap()),
    ];
    for (what, damage) in damages {
        check(DriverKind::Overlay, what, true, |sick| damage(&folder(sick)));
    }
}

#[test]
fn strays_of_every_kind_are_swept() {
    for driver in [DriverKind::Erofs, DriverKind::Overlay] {
        let paths = |sick: &Sick| sick.scratch.store.paths().clone();
        let stray = |name: &str| spec::Digest::of(name.as_bytes());
        check(driver, "nothing needs it", true, |sick| {
            fs::write(paths(sick).blob(&stray("blob")), "blob").unwrap();
        });
        check(driver, "nothing needs it", true, |sick| {
            fs::write(paths(sick).index(&spec::ChainId(stray("index"))), "index").unwrap();
        });
        check(driver, "unfinished", true, |sick| {
            fs::write(paths(sick).ingest().join("somebody-7"), "half").unwrap();
        });
        check(driver, "not-a-digest", true, |sick| {
            fs::write(paths(sick).blobs().join("sha256/not-a-digest"), "").unwrap();
        });
        check(driver, "images.json.new", true, |sick| {
            fs::write(paths(sick).images().with_extension("json.new"), "{").unwrap();
        });
        check(driver, "nothing needs it", true, |sick| {
            let tar = Layer::new().file("other", "").tar();
            sick.scratch.add_tars(&[tar]).unwrap();
            sick.scratch.store.unmount_all().unwrap();
        });
    }
    check(DriverKind::Overlay, "folder or mount", true, |sick| {
        let folder =
            sick.scratch.store.paths().folder("overlay", &spec::ChainId(spec::Digest::of(b"x")));
        fs::create_dir_all(folder.join("inner")).unwrap();
    });
}

#[test]
fn damaged_documents_of_images_are_named() {
    check(DriverKind::Overlay, "the configuration of image", false, |sick| {
        flip(&sick.scratch.blob(&sick.image.0), 5);
    });
    check(DriverKind::Overlay, "the configuration of image", false, |sick| {
        fs::remove_file(sick.scratch.blob(&sick.image.0)).unwrap();
    });
    let kept = |sick: &Sick, bytes: &[u8]| {
        let lease = sick.scratch.store.lease().unwrap();
        let digest = sick.scratch.store.put_document(&lease, bytes).unwrap();
        let media_type = spec::MediaType::from("application/vnd.oci.image.manifest.v1+json");
        ManifestRef { digest, media_type, size: bytes.len() as u64 }
    };
    check(DriverKind::Overlay, "the manifest of image", true, |sick| {
        let manifest = kept(sick, b"no manifest");
        let change = |images: &mut store::Images| {
            images.images.get_mut(&sick.image).unwrap().manifest = Some(manifest.into());
            Ok(())
        };
        sick.scratch.store.change_images::<_, StoreError>(change).unwrap();
    });
    check(DriverKind::Overlay, "the index of image", true, |sick| {
        let index = kept(sick, b"{}");
        fs::remove_file(sick.scratch.blob(&index.digest)).unwrap();
        let change = |images: &mut store::Images| {
            images.names.get_mut("image").unwrap().index = Some(index.into());
            Ok(())
        };
        sick.scratch.store.change_images::<_, StoreError>(change).unwrap();
    });
    check(DriverKind::Overlay, "name ghost", false, |sick| {
        let ghost = store::NameRecord::of(ImageId(spec::Digest::of(b"ghost")));
        let change = |images: &mut store::Images| {
            images.names.insert("ghost".to_owned(), ghost);
            Ok(())
        };
        sick.scratch.store.change_images::<_, StoreError>(change).unwrap();
    });
    check(DriverKind::Overlay, "is not here", false, |sick| {
        let change = |tables: &mut store::Tables| {
            let below = tables.layers.layers[&sick.top].parent.unwrap();
            tables.layers.layers.remove(&below);
            Ok(())
        };
        sick.scratch.store.change::<_, StoreError>(change).unwrap();
    });
    check(DriverKind::Overlay, "its layers are not those of its configuration", false, |sick| {
        let change = |images: &mut store::Images| {
            images.images.get_mut(&sick.image).unwrap().top = None;
            Ok(())
        };
        sick.scratch.store.change_images::<_, StoreError>(change).unwrap();
    });
}

#[test]
fn a_check_does_not_disturb_those_at_work() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..25 {
                let tars = [Layer::new().file(format!("{round}"), vec![7; 100_000]).tar()];
                let (id, _) = scratch.add_image("busy", &tars).unwrap();
                scratch.remove_image(id).unwrap();
            }
        });
        scope.spawn(|| {
            for _ in 0..25 {
                let report = scratch.open_again().check(false).unwrap();
                assert!(report.faults.is_empty(), "{:#?}", report.faults);
            }
        });
    });
    // What a check held back went when it was done.
    let left = scratch.store.present().unwrap();
    scratch.store.collect().unwrap();
    assert_eq!(scratch.store.present().unwrap(), left);
}

#[test]
fn what_is_in_use_is_not_replaced() {
    for driver in [DriverKind::Erofs, DriverKind::Overlay] {
        for by_snapshot in [false, true] {
            let Some(sick) = store(driver) else { return };
            let (scratch, store) = (&sick.scratch, &sick.scratch.store);
            let lease = store.lease().unwrap();
            let place = scratch.path().join("place");
            fs::create_dir(&place).unwrap();
            let user = if by_snapshot {
                let below = Some(sick.top);
                let made = store.making::<_, StoreError>(&store::About::All, |_| Ok(((), below)));
                let made =
                    store.create_snapshot(&made.unwrap().0, "work", below, store::Lasting::Kept);
                let mount = store.mount_snapshot(&made.unwrap(), store::Lasting::Kept).unwrap();
                sys::mount::attach(&mount, &place).unwrap();
                "snapshot work"
            } else {
                store.mount_view(&lease, sick.image).unwrap();
                "the mount at "
            };
            drop(lease);
            match driver {
                DriverKind::Erofs => flip(&scratch.blob(&scratch.record(sick.top).diff.0), 700),
                _ => flip(&store.paths().folder("overlay", &sick.top).join("d/g"), 4000),
            }
            let report = store.check(true).unwrap();
            let obstacles: Vec<_> =
                report.faults.iter().filter_map(|f| f.obstacle.clone()).collect();
            assert!(!report.is_clean(), "{driver}: {report:#?}");
            assert!(obstacles.iter().any(|text| text.contains(user)), "{obstacles:?}");
            match by_snapshot {
                true => sys::mount::detach(&place).unwrap(),
                false => drop(store.unmount_view(sick.image, false).unwrap()),
            }
            // Mounts of layers stay for the next view; a repaired one must not find the old.
            assert!(store.check(true).unwrap().is_clean());
            scratch.tree(Some(sick.top)).must_equal(&sick.tree, "mended");
            store.remove_snapshot("work").unwrap();
            scratch.must_be_clean();
        }
    }
}

#[test]
fn what_names_something_that_is_not_there_is_found() {
    check(DriverKind::Overlay, "what its record says is layer", false, |sick| {
        let change = |tables: &mut store::Tables| {
            let record = tables.layers.layers.remove(&sick.top).unwrap();
            let other = spec::ChainId(spec::Digest::of(b"another"));
            tables.layers.layers.insert(other, record);
            tables.images.images.get_mut(&sick.image).unwrap().top = Some(other);
            Ok(())
        };
        sick.scratch.store.change::<_, StoreError>(change).unwrap();
    });
    let snapshot = |sick: &Sick| {
        let making = store::Making::InTime(sick.scratch.store.lease().unwrap());
        let below = Some(sick.top);
        let made = sick.scratch.store.create_snapshot(&making, "s", below, store::Lasting::Kept);
        made.unwrap().folder.join("snapshot.json")
    };
    check(DriverKind::Overlay, "snapshot s: it stands on", false, |sick| {
        let document = fs::read_to_string(snapshot(sick)).unwrap();
        let missing = spec::ChainId(spec::Digest::of(b"missing")).to_string();
        let document = document.replace(&sick.top.to_string(), &missing);
        fs::write(sick.scratch.store.paths().snapshots().join("s/snapshot.json"), document)
            .unwrap();
    });
    check(DriverKind::Overlay, "snapshot s: its document is missing", false, |sick| {
        fs::remove_file(snapshot(sick)).unwrap();
    });
    check(DriverKind::Overlay, "snapshot.json: ", false, |sick| {
        fs::write(snapshot(sick), "{").unwrap();
    });
    check(DriverKind::Overlay, "the journal of events", false, |sick| {
        fs::create_dir(sick.scratch.store.paths().events()).unwrap();
    });
}

#[test]
fn numbers_in_records_are_looked_at() {
    for driver in [DriverKind::Erofs, DriverKind::Overlay] {
        let layers = |sick: &Sick, change: &dyn Fn(&mut store::LayerRecord)| {
            let changed = sick.scratch.store.change::<_, StoreError>(|tables| {
                change(tables.layers.layers.get_mut(&sick.top).unwrap());
                Ok(())
            });
            changed.unwrap();
        };
        check(driver, "it says that there are 7 bytes", true, |sick| {
            layers(sick, &|record| record.bytes = 7);
        });
        check(driver, "it says that there are 7 compressed bytes", true, |sick| {
            layers(sick, &|record| record.blob.as_mut().unwrap().bytes = 7);
        });
        check(driver, "the record of image", true, |sick| {
            let changed = sick.scratch.store.change_images::<_, StoreError>(|images| {
                images.images.get_mut(&sick.image).unwrap().layers[0] += 1;
                Ok(())
            });
            changed.unwrap();
        });
    }
}

#[test]
fn folders_that_are_lost_come_back_and_strays_are_named() {
    let Some(sick) = store(DriverKind::Overlay) else { return };
    let root = sick.scratch.store.paths().root().to_owned();
    for folder in ["leases", "ingest", "trash"] {
        fs::remove_dir_all(root.join(folder)).unwrap();
    }
    sick.scratch.must_be_clean();
    fs::remove_dir_all(root.join("trash")).unwrap();
    sick.scratch.remove_image(sick.image).unwrap();
    sick.scratch.must_be_clean();
    check(DriverKind::Overlay, "stray: nothing needs it", true, |sick| {
        let root = sick.scratch.store.paths().root();
        fs::create_dir_all(root.join("snapshots")).unwrap();
        fs::write(root.join("snapshots/stray"), "x").unwrap();
        fs::write(root.join("trash/more"), "x").unwrap();
    });
    check(DriverKind::Overlay, "blobs/stray: nothing needs it", true, |sick| {
        fs::write(sick.scratch.store.paths().blobs().join("stray"), "x").unwrap();
    });
}

#[test]
fn a_link_to_a_blob_is_the_blob_while_it_leads_there() {
    let Some(sick) = store(DriverKind::Erofs) else { return };
    let record = sick.scratch.record(sick.top);
    let blob = sick.scratch.blob(&record.blob.unwrap().digest);
    let moved = sick.scratch.store.paths().root().join("moved");
    fs::rename(&blob, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &blob).unwrap();
    sick.scratch.must_be_clean();
    sick.scratch.store.collect().unwrap();
    assert!(blob.is_symlink());
    fs::remove_file(&moved).unwrap();
    assert!(!sick.scratch.store.check(false).unwrap().is_clean());
    assert!(sick.scratch.store.check(true).unwrap().is_clean());
    sick.scratch.must_be_clean();
}

#[test]
fn what_lies_on_a_disk_that_is_not_mounted_just_now_stays() {
    let Some(sick) = store(DriverKind::Overlay) else { return };
    let store = &sick.scratch.store;
    let making = store::Making::InTime(store.lease().unwrap());
    let made = store.create_snapshot(&making, "s", Some(sick.top), store::Lasting::Kept);
    let snapshot = made.unwrap();
    drop(making);
    let blob = sick.scratch.blob(&sick.image.0);
    let (disk, away) = (store.paths().root().join("disk"), store.paths().root().join("away"));
    fs::create_dir(&disk).unwrap();
    for path in [&snapshot.folder, &blob] {
        let moved = disk.join(path.file_name().unwrap());
        fs::rename(path, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, path).unwrap();
    }
    let are_linked = || snapshot.folder.is_symlink() && blob.is_symlink();
    assert_eq!(store.snapshots().unwrap(), ["s"]);
    store.collect().unwrap();
    assert!(are_linked());
    sick.scratch.must_be_clean();
    fs::rename(&disk, &away).unwrap();
    store.collect().unwrap();
    assert!(are_linked() && !store.check(false).unwrap().is_clean());
    fs::rename(&away, &disk).unwrap();
    sick.scratch.must_be_clean();
    // What the snapshot stands on is not known meanwhile, so it stays too.
    fs::rename(&disk, &away).unwrap();
    sick.scratch.remove_image(sick.image).unwrap();
    store.collect().unwrap();
    fs::rename(&away, &disk).unwrap();
    assert_eq!(store.snapshot("s").unwrap(), snapshot);
    assert!(store.tables().unwrap().layers.layers.contains_key(&sick.top));
}
