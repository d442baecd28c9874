//! Builds of copies alone, which need nothing of the machine.

use std::collections::HashMap;
use std::fs;

use engine::StepOutcome;

use super::client::Lab;
use crate::buildkit::messages::Nothing;
use crate::buildkit::messages::control::{
    CacheEntry, CacheOptions, Exporter, InfoResponse, ListWorkersRequest, ListWorkersResponse,
    SolveRequest, StatusRequest, StatusResponse,
};
use crate::buildkit::messages::gateway::{
    Results, ReturnRequest, SolveRequest as GatewaySolve, SolveResponse as GatewaySolved,
};
use crate::buildkit::messages::history::{BuildHistoryEvent, BuildHistoryRequest};
use crate::buildkit::messages::ops::Definition;
use crate::wire::{Code, Exchange};

const DOCKERFILE: &str = "FROM scratch AS one\nARG WORD\nLABEL word=$WORD\nCOPY a /a\nFROM one\n\
                          COPY sub /sub\n";

fn request(reference: &str, kind: &str) -> SolveRequest {
    let exporter = Exporter { kind: kind.to_owned(), attributes: HashMap::new() };
    SolveRequest {
        reference: reference.to_owned(),
        session: "the-session".to_owned(),
        frontend: "dockerfile.v0".to_owned(),
        exporters: if kind.is_empty() { Vec::new() } else { vec![exporter] },
        ..SolveRequest::default()
    }
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.folder("dockerfile", &[("Dockerfile", DOCKERFILE)]);
    lab.folder("context", &[("a", "of a"), ("sub/b", "of b"), ("sub/.hidden", ""), ("no", "")]);
    lab
}

fn news(lab: &Lab, reference: &str) -> StatusResponse {
    let Exchange { mut incoming, outgoing } =
        lab.control.call("/moby.buildkit.v1.Control/Status", &[]).unwrap();
    outgoing.send(&StatusRequest { reference: reference.to_owned() }).unwrap();
    let mut all = StatusResponse::default();
    for response in incoming.all::<StatusResponse>() {
        let response = response.unwrap();
        all.vertexes.extend(response.vertexes);
        all.statuses.extend(response.statuses);
    }
    all
}

#[test]
fn files_come_from_the_client_and_results_go_to_it() {
    let lab = lab();
    let out = lab.folder.path().join("out");
    fs::create_dir(&out).unwrap();
    lab.take_results(&out);
    lab.solve(request("local", "local")).unwrap();
    assert_eq!(fs::read_to_string(out.join("sub/b")).unwrap(), "of b");
    assert!(out.join("a").exists() && !out.join("no").exists());
    let asked = lab.client.asked.lock().unwrap().clone();
    let context = asked.iter().rfind(|line| line.contains(" context ")).unwrap();
    assert!(context.ends_with(r#"context ["a", "sub"]"#), "only what is needed: {asked:?}");
    let vertexes = news(&lab, "local").vertexes;
    let copied = vertexes.iter().rfind(|vertex| vertex.name.contains("COPY sub")).unwrap();
    assert!(copied.started.is_some() && copied.completed.is_some() && !copied.cached);
    let tar = lab.folder.path().join("out.tar");
    lab.take_results(&tar);
    lab.solve(request("tar", "tar")).unwrap();
    let bytes = fs::read(&tar).unwrap();
    assert!(bytes.windows(4).any(|four| four == b"of a"), "the tar has the file");
    let again = news(&lab, "tar").vertexes;
    assert!(again.iter().any(|vertex| vertex.name.contains("COPY sub") && vertex.cached));
}

#[test]
fn images_are_kept_under_their_names() {
    let lab = lab();
    let mut asked = request("image", "image");
    asked.exporters[0].attributes.insert("name".to_owned(), "made:1".to_owned());
    asked.frontend_attributes =
        [("build-arg:WORD", "said"), ("target", "one")].map(|(k, v)| (k.into(), v.into())).into();
    let facts = lab.solve(asked).unwrap().exporter_response;
    let id = &facts["containerimage.config.digest"];
    let engine = lab.app.engine().unwrap();
    let kept = engine.image_summaries(&engine::ListImages::default()).unwrap();
    assert_eq!((kept[0]["Id"].as_str(), &kept[0]["RepoTags"][0]), (Some(&**id), &"made:1".into()));
    assert_eq!(facts["image.name"], "made:1");
    let Exchange { mut incoming, outgoing } =
        lab.control.call("/moby.buildkit.v1.Control/ListenBuildHistory", &[]).unwrap();
    outgoing.send(&BuildHistoryRequest { early_exit: true, ..Default::default() }).unwrap();
    drop(outgoing);
    let events: Vec<BuildHistoryEvent> = incoming.all().map(Result::unwrap).collect();
    let [event] = &events[..] else { panic!("{events:?}") };
    let record = event.record.as_ref().unwrap();
    assert_eq!(record.frontend_attributes["target"], "one");
    let told = news(&lab, &record.reference).vertexes;
    assert!(told.iter().any(|vertex| vertex.name.contains("COPY a")), "{told:?}");
}

#[test]
fn a_client_that_steers_gets_what_it_gives_back() {
    let lab = lab();
    let out = lab.folder.path().join("out");
    fs::create_dir(&out).unwrap();
    lab.take_results(&out);
    let steered = SolveRequest { frontend: String::new(), ..request("steered", "local") };
    let control = lab.control.clone();
    let solving = std::thread::spawn(move || {
        control.ask::<crate::buildkit::messages::control::SolveResponse>(
            "/moby.buildkit.v1.Control/Solve",
            &steered,
        )
    });
    let call = |method: &str| {
        let path = format!("/moby.buildkit.v1.frontend.LLBBridge/{method}");
        lab.control.call(&path, &[("buildkit-controlapi-buildid", "steered".to_owned())]).unwrap()
    };
    let Exchange { mut incoming, outgoing } = call("Solve");
    let wanted = GatewaySolve {
        frontend: "gateway.v0".to_owned(),
        frontend_options: [("source", "docker/dockerfile:1"), ("target", "one")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        allow_result_return: true,
        allow_result_array: true,
        evaluate: true,
        ..GatewaySolve::default()
    };
    outgoing.send(&wanted).unwrap();
    let solved: GatewaySolved = incoming.one().unwrap();
    let result = solved.result.unwrap();
    assert!(matches!(result.results, Some(Results::One(_))), "{result:?}");
    let Exchange { mut incoming, outgoing } = call("Return");
    outgoing.send(&ReturnRequest { result: Some(result), error: None }).unwrap();
    incoming.one::<Nothing>().unwrap();
    solving.join().unwrap().unwrap();
    assert!(out.join("a").exists() && !out.join("sub").exists());
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    let lab = lab();
    let refused = |request: SolveRequest| lab.solve(request).unwrap_err();
    let frontend = SolveRequest { frontend: "other.v0".to_owned(), ..request("1", "") };
    assert_eq!(refused(frontend).code, Code::Unimplemented);
    assert!(refused(request("2", "s3")).message.contains("exporter \"s3\""));
    let graph = Definition { operations: vec![vec![0x12, 0]], ..Definition::default() };
    let graph =
        SolveRequest { frontend: String::new(), definition: Some(graph), ..request("3", "") };
    assert!(refused(graph).message.contains("does not end with its result"));
    let allowed = vec!["security.insecure".to_owned()];
    let denied = refused(SolveRequest { entitlements: allowed, ..request("4", "") });
    assert_eq!(denied.code, Code::PermissionDenied);
    let network = [("force-network-mode".to_owned(), "host".to_owned())].into();
    let denied = refused(SolveRequest { frontend_attributes: network, ..request("7", "") });
    assert_eq!(denied.message, "network.host is not allowed");
    let nobody = refused(SolveRequest { session: "nobody".to_owned(), ..request("5", "") });
    assert_eq!(nobody.code, Code::Unavailable);
    lab.folder("dockerfile", &[("Dockerfile", "FROM scratch\nCOPY nothing /\n")]);
    let blamed = refused(request("8", ""));
    let [detail] = &blamed.details[..] else { panic!("{blamed:?}") };
    let detail: serde_json::Value = serde_json::from_slice(&detail.value).unwrap();
    assert_eq!(detail["ranges"][0]["start"]["line"], 2, "{detail}");
    lab.folder("dockerfile", &[("Dockerfile", "FROM scratch\nCOPYY sub /\n")]);
    lab.client.asked.lock().unwrap().clear();
    let wrong = refused(request("9", ""));
    assert!(wrong.message.contains("unknown instruction: COPYY"), "{wrong}");
    let asked = lab.client.asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|line| line.contains(r#""sub""#)), "{asked:?}");
    fs::remove_file(lab.folder("dockerfile", &[]).join("Dockerfile")).unwrap();
    let missing = refused(request("6", ""));
    assert!(missing.message.contains("open Dockerfile: no such file"), "{missing}");
    let unknown = lab.control.ask::<Nothing>("/moby.buildkit.v1.Control/Nothing", &Nothing {});
    assert_eq!(unknown.unwrap_err().code, Code::Unimplemented);
}

#[test]
fn the_worker_is_this_machine() {
    let lab = Lab::new();
    let path = "/moby.buildkit.v1.Control/ListWorkers";
    let one: ListWorkersResponse = lab.control.ask(path, &ListWorkersRequest::default()).unwrap();
    let [worker] = &one.record[..] else { panic!("{one:?}") };
    assert_eq!(worker.platforms[0].os, "linux");
    let filter = vec![format!("id=={}", worker.id)];
    let same: ListWorkersResponse = lab.control.ask(path, &ListWorkersRequest { filter }).unwrap();
    assert_eq!(same, one);
    let info: InfoResponse =
        lab.control.ask("/moby.buildkit.v1.Control/Info", &Nothing {}).unwrap();
    assert_eq!(info.version.unwrap().package, "mica");
}

#[test]
fn caches_and_layouts_go_to_the_client_and_caches_come_back() {
    let lab = lab();
    let out = lab.folder.path().join("out");
    fs::create_dir(&out).unwrap();
    lab.take_results(&out);
    let entry = |pairs: &[(&str, &str)]| CacheEntry {
        kind: "local".to_owned(),
        attributes: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    };
    let mut asked = request("first", "oci");
    asked.exporters[0].attributes.insert("tar".to_owned(), "false".to_owned());
    let exports = vec![entry(&[("dest", "there"), ("mode", "max")])];
    asked.cache = Some(CacheOptions { exports, ..CacheOptions::default() });
    let facts = lab.solve(asked).unwrap().exporter_response;
    let images = lab.client.store("export");
    assert!(images.join(&facts["containerimage.digest"]).exists(), "{facts:?}");
    let manifest: serde_json::Value = serde_json::from_str(&facts["cache.manifest"]).unwrap();
    let digest = manifest["digest"].as_str().unwrap();
    assert!(lab.client.store("local:there").join(digest).exists());
    let pruned = engine::PruneCache { all: true, ..engine::PruneCache::default() };
    lab.app.engine().unwrap().prune_cache(&pruned).unwrap();
    let imports = |digest: &str| {
        let imports = vec![entry(&[("src", "there"), ("digest", digest)])];
        Some(CacheOptions { imports, ..CacheOptions::default() })
    };
    lab.solve(SolveRequest { cache: imports(digest), ..request("second", "") }).unwrap();
    let outcome = || {
        let record = lab.app.engine().unwrap().builds().remove(0);
        record.steps.iter().find(|step| step.text.contains("COPY sub")).unwrap().outcome
    };
    assert_eq!(outcome(), StepOutcome::Cached, "the client's cache knew it");
    lab.app.engine().unwrap().prune_cache(&pruned).unwrap();
    lab.solve(SolveRequest { cache: imports("none"), ..request("third", "") }).unwrap();
    assert_eq!(outcome(), StepOutcome::Done, "without it the step is done");
}

#[test]
fn questions_are_answered_without_a_build() {
    let lab = lab();
    let steered = SolveRequest { frontend: String::new(), ..request("asking", "") };
    let control = lab.control.clone();
    let solving = std::thread::spawn(move || {
        control.ask::<Nothing>("/moby.buildkit.v1.Control/Solve", &steered)
    });
    let call = |method: &str| {
        let path = format!("/moby.buildkit.v1.frontend.LLBBridge/{method}");
        lab.control.call(&path, &[("buildkit-controlapi-buildid", "asking".to_owned())]).unwrap()
    };
    for (id, word) in [("frontend.targets", "one"), ("frontend.outline", "WORD")] {
        let Exchange { mut incoming, outgoing } = call("Solve");
        let frontend_options =
            [("requestid", id), ("target", "one")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let frontend = "dockerfile.v0".to_owned();
        let asked = GatewaySolve {
            frontend,
            frontend_options: frontend_options.into(),
            ..GatewaySolve::default()
        };
        outgoing.send(&asked).unwrap();
        let metadata = incoming.one::<GatewaySolved>().unwrap().result.unwrap().metadata;
        let text = String::from_utf8_lossy(&metadata["result.json"]).into_owned();
        assert!(text.contains(word), "{id}: {text}");
    }
    let Exchange { mut incoming, outgoing } = call("Return");
    outgoing.send(&ReturnRequest::default()).unwrap();
    incoming.one::<Nothing>().unwrap();
    solving.join().unwrap().unwrap();
}

#[test]
fn graphs_are_built_from_the_clients_folders() {
    use crate::buildkit::messages::ops::{
        Action, Copy, FileAction, FileOp, Input, Kind, MakeFile, MakeFolder, MakeLink, Op, Remove,
        SourceOp,
    };
    use prost::Message;
    let lab = lab();
    let identifier = "local://context".to_owned();
    let attributes = [("local.followpaths".to_owned(), r#"["a","sub"]"#.to_owned())].into();
    let source = Kind::Source(SourceOp { identifier, attributes });
    let source = Op { inputs: vec![], kind: Some(source), platform: None }.encode_to_vec();
    let input = |bytes: &[u8]| Input { digest: spec::Digest::of(bytes).to_string(), index: 0 };
    let text = |text: &str| text.to_owned();
    let copy = |source: &str, target: &str, contents| {
        let copy = Copy {
            source: text(source),
            target: text(target),
            contents,
            mode: -1,
            created: 2_000_000_000,
            ..Copy::default()
        };
        Action::Copy(copy)
    };
    let (owner, created) = (None, 3_000_000_000);
    let path = text("/made/deep");
    let folder = MakeFolder { path, mode: 0o700, parents: true, owner: None, created };
    let (path, data) = (text("/made/$f"), b"\xffraw".to_vec());
    let file = MakeFile { path, mode: 0o640, data, owner: None, created: -1 };
    let link = MakeLink { target: text("$f"), path: text("/made/link"), owner: None, created: -1 };
    let (target, path) = (text("nowhere"), text("/whole/sub/.hangs"));
    let nowhere = MakeLink { target, path, owner, created: -1 };
    let again = MakeFolder { parents: false, ..folder.clone() };
    let remove = Remove { path: text("/whole/sub/.h*"), optional: false, pattern: true };
    let all = [
        Action::Folder(folder),
        Action::File(file),
        Action::Link(link),
        copy("/a", "/copied/", false),
        copy("/sub", "/whole/", false),
        copy("/sub", "/contents/", true),
        Action::Link(nowhere),
        Action::Folder(again),
        Action::Remove(remove),
    ];
    let count = all.len() as i64;
    let action = |(at, action)| {
        let at = at as i64;
        let output = if at + 1 == count { 0 } else { -1 };
        FileAction { input: if at == 0 { -1 } else { at }, second: 0, output, action: Some(action) }
    };
    let actions = all.into_iter().enumerate().map(action).collect();
    let files = Op {
        inputs: vec![input(&source)],
        kind: Some(Kind::File(FileOp { actions })),
        platform: None,
    };
    let files = files.encode_to_vec();
    let end = Op { inputs: vec![input(&files)], kind: None, platform: None }.encode_to_vec();
    let graph = Definition { operations: vec![source, files, end], ..Definition::default() };
    let solve = |reference: &str| {
        let out = lab.folder.path().join(reference);
        fs::create_dir(&out).unwrap();
        lab.take_results(&out);
        let frontend = String::new();
        let definition = Some(graph.clone());
        lab.solve(SolveRequest { frontend, definition, ..request(reference, "local") }).unwrap();
        out
    };
    let out = solve("first");
    assert_eq!(fs::read(out.join("made/$f")).unwrap(), b"\xffraw");
    assert_eq!(fs::read(out.join("made/link")).unwrap(), b"\xffraw");
    assert!(out.join("made/deep").is_dir() && out.join("copied/a").exists());
    let time = |path: &str| {
        use std::os::unix::fs::MetadataExt;
        out.join(path).metadata().unwrap().mtime()
    };
    assert_eq!((time("made/deep"), time("made/$f")), (3, 0));
    assert_eq!((time("copied/a"), time("whole/sub/b"), time("copied")), (2, 2, 2));
    assert_eq!(fs::read_to_string(out.join("whole/sub/b")).unwrap(), "of b");
    assert!(out.join("contents/.hidden").exists() && !out.join("whole/sub/.hidden").exists());
    assert!(!out.join("no").exists());
    assert!(out.join("whole/sub/.hangs").symlink_metadata().is_err());
    let asked = lab.client.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|line| line.ends_with(r#"context ["a", "sub"]"#)), "{asked:?}");
    solve("again");
    let record = lab.app.engine().unwrap().builds().remove(0);
    let done =
        record.steps.iter().filter(|step| step.outcome == StepOutcome::Done && step.key.is_some());
    assert_eq!(done.count(), 0, "all of it is remembered: {:?}", record.steps);
}

#[test]
fn a_client_that_steers_looks_into_results() {
    use crate::buildkit::messages::gateway::{
        Range, ReadFileRequest, ReadFileResponse, ReadFolderRequest, ReadFolderResponse,
        ResolveRequest, ResolveResponse, StatRequest, StatResponse,
    };
    let lab = lab();
    let mut image = request("image", "image");
    image.exporters[0].attributes.insert("name".to_owned(), "made:1".to_owned());
    lab.solve(image).unwrap();
    let mut steered = SolveRequest { frontend: String::new(), ..request("looking", "image") };
    steered.exporters[0].attributes.insert("name".to_owned(), "own:1".to_owned());
    let control = lab.control.clone();
    let solving = std::thread::spawn(move || {
        control.ask::<Nothing>("/moby.buildkit.v1.Control/Solve", &steered)
    });
    let call = |method: &str| {
        let path = format!("/moby.buildkit.v1.frontend.LLBBridge/{method}");
        lab.control.call(&path, &[("buildkit-controlapi-buildid", "looking".to_owned())]).unwrap()
    };
    let Exchange { mut incoming, outgoing } = call("ResolveImageConfig");
    let asked =
        ResolveRequest { name: "docker.io/library/made:1".to_owned(), ..Default::default() };
    outgoing.send(&asked).unwrap();
    let resolved: ResolveResponse = incoming.one().unwrap();
    assert!(resolved.digest.starts_with("sha256:"), "{resolved:?}");
    assert!(String::from_utf8_lossy(&resolved.config).contains("\"word\":"), "{resolved:?}");

    let source = crate::buildkit::messages::ops::SourceOp {
        identifier: "local://context".to_owned(),
        ..Default::default()
    };
    let kind = Some(crate::buildkit::messages::ops::Kind::Source(source));
    let op = crate::buildkit::messages::ops::Op { kind, ..Default::default() };
    let local = prost::Message::encode_to_vec(&op);
    let digest = spec::Digest::of(&local).to_string();
    let inputs = vec![crate::buildkit::messages::ops::Input { digest, index: 0 }];
    let end = crate::buildkit::messages::ops::Op { inputs, ..Default::default() };
    let operations = vec![local, prost::Message::encode_to_vec(&end)];
    let Exchange { mut incoming, outgoing } = call("Solve");
    let wanted = GatewaySolve {
        definition: Some(Definition { operations, ..Definition::default() }),
        allow_result_return: true,
        allow_result_array: true,
        ..GatewaySolve::default()
    };
    outgoing.send(&wanted).unwrap();
    let mut result = incoming.one::<GatewaySolved>().unwrap().result.unwrap();
    let Some(Results::One(one)) = &result.results else { panic!("{result:?}") };
    let reference = one.id.clone();

    let read = |path: &str, range| {
        let Exchange { mut incoming, outgoing } = call("ReadFile");
        let (reference, path) = (reference.clone(), path.to_owned());
        outgoing.send(&ReadFileRequest { reference, path, range }).unwrap();
        incoming.one::<ReadFileResponse>().map(|response| response.data)
    };
    assert_eq!(read("sub/b", None).unwrap(), b"of b");
    assert_eq!(read("/sub/b", Some(Range { offset: 1, length: 2 })).unwrap(), b"f ");
    assert_eq!(read("/sub/../../../../sub/b", None).unwrap(), b"of b", "the top is the top");
    assert_eq!(read("nothing", None).unwrap_err().code, Code::NotFound);
    assert!(read("sub", None).unwrap_err().message.contains("no ordinary file"));
    let Exchange { mut incoming, outgoing } = call("ReadDir");
    let (path, pattern) = ("/".to_owned(), "[as]*".to_owned());
    outgoing.send(&ReadFolderRequest { reference: reference.clone(), path, pattern }).unwrap();
    let entries = incoming.one::<ReadFolderResponse>().unwrap().entries;
    let names: Vec<_> = entries.iter().map(|stat| stat.path.as_slice()).collect();
    assert_eq!(names, [&b"a"[..], b"sub"]);
    let Exchange { mut incoming, outgoing } = call("StatFile");
    outgoing.send(&StatRequest { reference: reference.clone(), path: "sub/b".to_owned() }).unwrap();
    assert_eq!(incoming.one::<StatResponse>().unwrap().stat.unwrap().size, 4);

    let config = r#"{"architecture":"amd64","os":"linux","config":{"User":"own"},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    result.metadata.insert("containerimage.config".to_owned(), config.as_bytes().to_vec());
    let Exchange { mut incoming, outgoing } = call("Return");
    outgoing.send(&ReturnRequest { result: Some(result), error: None }).unwrap();
    incoming.one::<Nothing>().unwrap();
    solving.join().unwrap().unwrap();
    let own = lab.app.engine().unwrap().inspect("own:1", None).unwrap();
    assert_eq!(own["Config"]["User"], "own", "{own}");
}
