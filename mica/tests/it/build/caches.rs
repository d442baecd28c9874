//! Steps that others did, through folders, registries and images.

use std::fs;

use super::{Builds, done};
use crate::compat::registry::Registry;
use crate::need_programs;
use crate::support::Run;

/// Two stages, of which the image has one.
const FILE: &str = "FROM bb AS tool\nRUN head -c 99 /dev/urandom > /tool\nFROM bb\nCOPY f /f\n\
                    RUN head -c 99 /dev/urandom > /own\nCOPY --from=tool /tool /tool\n";

/// A builder, and another one that knows nothing.
fn two() -> Option<(Builds, Builds)> {
    let (one, other) = (Builds::new()?, Builds::new()?);
    for it in [&one, &other] {
        it.put("f", "content");
    }
    Some((one, other))
}

/// Builds it at the same time on all machines.
fn build(it: &Builds, options: &str) -> Run {
    it.build(FILE, &format!("--build-arg SOURCE_DATE_EPOCH=1600000000 {options}"))
}

#[track_caller]
fn builds(it: &Builds, options: &str) -> String {
    let run = build(it, options);
    run.works();
    run.err
}

#[test]
fn a_folder_carries_steps_to_another_machine() {
    let Some((one, other)) = two() else { return };
    builds(&one, "--cache-to type=local,dest=all,mode=max --cache-to type=local,dest=min");
    let from = |name: &str| format!("--cache-from type=local,src={}", one.path(name).display());
    let progress = builds(&other, &from("all"));
    // Its layers come by themselves, and each step is told once.
    assert!(progress.contains("importing cache manifest from"), "{progress}");
    assert_eq!(done(&progress), [""; 0], "what comes from there is cached: {progress}");
    assert_eq!(one.id(), other.id(), "random bytes cannot be made twice");
    assert_eq!(other.shows("wc -c < /tool"), "99");
    assert_eq!(done(&builds(&other, "")), [""; 0], "it is remembered here now");
    // What the image has not is not carried in the small form, and is not needed either.
    other.ok("rmi -f t");
    other.ok("builder prune -af");
    let made = done(&builds(&other, &from("min")));
    assert!(made.contains(&"RUN head -c 99 /dev/urandom > /tool".to_owned()), "{made:?}");
    // The same steps give the same documents.
    let index = fs::read(one.path("all/index.json")).unwrap();
    builds(&one, "--cache-to type=local,dest=again,mode=max");
    assert_eq!(fs::read(one.path("again/index.json")).unwrap(), index);
    // Nothing there is no error; a damaged layer is made here.
    let run = build(&other, "--cache-from type=local,src=nowhere");
    run.works();
    for blob in fs::read_dir(one.path("all/blobs/sha256")).unwrap().flatten() {
        let bytes = fs::read(blob.path()).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            fs::write(blob.path(), vec![0; bytes.len()]).unwrap();
        }
    }
    other.ok("rmi -f t");
    other.ok("builder prune -af");
    builds(&other, &from("all"));
    assert_eq!(other.shows("wc -c < /own"), "99");
    other.ok("system check");
}

#[test]
fn registries_and_images_carry_steps_too() {
    need_programs!("docker-registry");
    let Some((one, other)) = two() else { return };
    let registry = Registry::plain(&one);
    let (cache, image) = (registry.name("app:cache"), registry.name("app:1"));
    builds(&one, &format!("--cache-to type=registry,ref={cache},mode=max,compression=zstd"));
    let progress = builds(&other, &format!("--cache-from {cache}"));
    assert_eq!(one.id(), other.id(), "{progress}");
    let line = "build --network none --build-arg SOURCE_DATE_EPOCH=1600000000";
    one.run(&format!("{line} -t {image} --push --cache-to type=inline ctx")).works();
    let own = "run --rm --network none --entrypoint md5sum";
    let inline = one.ok(&format!("{own} {image} /own"));
    other.ok("rmi -f t");
    other.ok("builder prune -af");
    let made = done(&builds(&other, &format!("--cache-from {image} --cache-to type=inline")));
    // What the image has not is done again, and nothing that stands on it is known.
    assert!(made.contains(&"RUN head -c 99 /dev/urandom > /tool".to_owned()), "{made:?}");
    assert_eq!(other.ok(&format!("{own} t /own")), inline, "random bytes cannot be made twice");
    // Nothing is taken from where the policy says that nothing may be.
    let rule = format!("[[rule]]\nprefix = \"{}\"\npolicy = \"reject\"\n", registry.name("app"));
    let policy = other.file("policy.toml", rule);
    let text = format!("[registries]\npolicy = \"{}\"\n", policy.display());
    let config = other.file("mica.toml", text);
    other.ok("builder prune -af");
    let line = format!("--config {} build --progress plain --network none -t u", config.display());
    let run = other.run(&format!("{line} --cache-from {cache} ctx"));
    run.works();
    assert!(run.err.contains("may not be pulled: the policy rejects it"), "{run}");
    assert!(!done(&run.err).is_empty(), "{run}");
    let run = build(&one, "--cache-to type=tape");
    run.complains(1, "hint: types are local, registry, inline, s3, azblob and gha");
    let nowhere = "127.0.0.1:1/x:y";
    build(&one, &format!("--cache-to type=registry,ref={nowhere},ignore-error=true")).works();
    build(&one, &format!("--cache-to type=registry,ref={nowhere}"))
        .complains(1, "connection refused");
}
