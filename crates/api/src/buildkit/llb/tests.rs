use engine::steps::Op as StepOp;

use engine::steps::Change;

use super::super::messages::ops::{
    Action, BuildOp, Copy, Diff, Exec, FileAction, FileOp, HostAddress, Input, Limit, MakeFile,
    Merge, Meta, Mount, Named, OneInput, OpMetadata, Owner, Proxies, SourceOp, Who, WhoBy,
};
use super::*;

/// A graph whose operations need nothing to be built first.
fn planned(graph: &Definition) -> Result<Planned, Status> {
    plan(graph, &|_, file| Err(Status::missing(file)))
}

/// A graph on its way.
#[derive(Default)]
struct Making(Vec<Vec<u8>>);

impl Making {
    /// Adds an operation on these results, and gives its name.
    fn add(&mut self, inputs: &[(&str, i64)], kind: Option<Kind>) -> String {
        let input =
            |(digest, index): &(&str, i64)| Input { digest: (*digest).to_owned(), index: *index };
        let inputs = inputs.iter().map(input).collect();
        let bytes = Op { inputs, kind, platform: None }.encode_to_vec();
        let digest = Digest::of(&bytes).to_string();
        self.0.push(bytes);
        digest
    }

    fn source(&mut self, identifier: &str) -> String {
        let identifier = identifier.to_owned();
        self.add(&[], Some(Kind::Source(SourceOp { identifier, ..SourceOp::default() })))
    }

    /// The graph whose result this is.
    fn end(mut self, digest: &str, index: i64) -> Definition {
        self.add(&[(digest, index)], None);
        Definition { operations: self.0, ..Definition::default() }
    }
}

fn action(input: i64, second: i64, output: i64, action: Action) -> FileAction {
    FileAction { input, second, output, action: Some(action) }
}

fn file(path: &str) -> Action {
    Action::File(MakeFile { path: path.to_owned(), mode: 0o644, ..MakeFile::default() })
}

fn render(graph: &Definition) -> String {
    planned(graph).unwrap().graph.render()
}

#[track_caller]
fn refused(graph: &Definition, words: &str) {
    let status = planned(graph).err().expect("it must be refused");
    assert!(status.message.contains(words), "{status}");
}

#[test]
fn operations_become_steps_in_their_order() {
    let mut making = Making::default();
    let base = making.source("docker-image://docker.io/library/bb:1");
    let meta = Meta { words: vec!["make".to_owned()], ..Meta::default() };
    let mount = |input, target: &str, output| Mount {
        input,
        target: target.to_owned(),
        output,
        ..Mount::default()
    };
    let mounts = vec![mount(0, "/", 0), mount(-1, "/out", 1), mount(0, "/in", -1)];
    let exec = Exec { meta: Some(meta), mounts, ..Exec::default() };
    let run = making.add(&[(&base, 0)], Some(Kind::Exec(Box::new(exec))));
    let result = making.end(&run, 1);
    assert_eq!(
        render(&result),
        "0: base docker.io/library/bb:1\n1: scratch\n2 on 0: settings\n3 on 2 from 1 from 0: run [\"make\"]\n4 on 3: written 0\n"
    );
    assert_eq!(planned(&result).unwrap().graph.target, 4);
}

#[test]
fn a_folder_is_a_tree_only_where_it_must_be() {
    let mut making = Making::default();
    let local = making.source("local://src");
    let copy = |source: &str| {
        let (source, target) = (source.to_owned(), "/".to_owned());
        Action::Copy(Copy { source, target, mode: -1, ..Copy::default() })
    };
    let actions = vec![action(-1, 0, -1, copy("/a")), action(1, 0, 0, copy("/b"))];
    let copied = making.add(&[(&local, 0)], Some(Kind::File(FileOp { actions })));
    let merge = Merge { inputs: vec![OneInput { input: 0 }, OneInput { input: 1 }] };
    let mut both = Making(making.0.clone());
    let merged = both.add(&[(&copied, 0), (&local, 0)], Some(Kind::Merge(merge)));
    let text = render(&making.end(&copied, 0));
    assert_eq!(
        text,
        "0: base local-0\n1: scratch\n2 on 1 from 0: copy to /\n3 on 2 from 0: copy to /\n"
    );
    let text = render(&both.end(&merged, 0));
    assert_eq!(
        text.lines().skip(4).collect::<Vec<_>>(),
        ["4 on 1 from 0: copy to /", "5 on 3 from 4: merge"]
    );
}

#[test]
fn the_same_operation_is_done_once_and_what_nobody_needs_not_at_all() {
    let mut making = Making::default();
    let base = making.source("docker-image://bb");
    making.source("docker-image://other");
    let diff = Diff { lower: Some(OneInput { input: 0 }), upper: Some(OneInput { input: 0 }) };
    let diff = making.add(&[(&base, 0)], Some(Kind::Diff(diff)));
    let mut graph = making.end(&diff, 0);
    let name = [(NAME.to_owned(), "what is new".to_owned())].into();
    let metadata = OpMetadata { ignore_cache: true, description: name, ..Default::default() };
    graph.metadata.insert(diff, metadata);
    let planned = planned(&graph).unwrap().graph;
    assert_eq!(planned.render(), "0: base bb\n1: scratch\n2 on 1 from 0 from 0: diff\n");
    assert_eq!(planned.steps[2].title, "what is new");
    assert!(planned.anew.contains(&2) && matches!(planned.steps[0].op, StepOp::Base { .. }));
}

#[test]
fn what_strangers_make_up_is_refused() {
    refused(&Definition::default(), "a graph of 0 operations");
    let rubbish = Definition { operations: vec![vec![0xff; 9]], ..Definition::default() };
    refused(&rubbish, "an operation that is none");
    let many = Definition { operations: vec![vec![]; MAX_OPERATIONS + 1], ..Definition::default() };
    refused(&many, "operations");
    let mut making = Making::default();
    let base = making.source("docker-image://bb");
    refused(&Making(making.0.clone()).end(&base, 7), "has no result 7");
    refused(&Making(making.0.clone()).end(&base, -3), "there is no result -3");
    refused(&Making(making.0.clone()).end("sha256:12", 0), "an input that is no digest");
    let nobody = Digest::of(b"nobody").to_string();
    refused(&Making(making.0.clone()).end(&nobody, 0), "the graph has no");
    let with = |kind: Kind| {
        let mut making = Making(making.0.clone());
        let made = making.add(&[(&base, 0)], Some(kind));
        making.end(&made, 0)
    };
    let merge = |input| Kind::Merge(Merge { inputs: vec![OneInput { input }] });
    refused(&with(merge(1)), "has no input 1");
    refused(&with(merge(i64::MIN)), "has no input");
    refused(&with(Kind::Merge(Merge::default())), "a merge of nothing");
    let inputs = vec![OneInput { input: 0 }; MAX_INPUTS + 1];
    refused(&with(Kind::Merge(Merge { inputs })), "a merge of 1001");
    let mut needy = Making(making.0.clone()).end(&base, 0);
    let capabilities = [("source.image".to_owned(), true), ("source.moon".to_owned(), true)];
    let metadata = OpMetadata { capabilities: capabilities.into(), ..Default::default() };
    needy.metadata.insert(base.clone(), metadata);
    refused(&needy, "requested capability \"source.moon\"");
    let files = |actions| with(Kind::File(FileOp { actions }));
    refused(&files(Vec::new()), "0 actions");
    refused(&files(vec![action(5, 0, 0, file("/a"))]), "an action that needs 5");
    refused(&files(vec![action(i64::MAX, 0, 0, file("/a"))]), "an action that needs");
    let exec = |mounts| with(Kind::Exec(Box::new(Exec { mounts, ..Exec::default() })));
    refused(&exec(Vec::new()), "a command without a root");
    let away = Mount { target: "away".to_owned(), ..Mount::default() };
    let root = Mount { target: "/".to_owned(), ..Mount::default() };
    refused(&exec(vec![root.clone(), away]), "a mount at");
    let limit = Limit { name: "none".to_owned(), soft: 1, hard: 1 };
    let limited = Meta { limits: vec![limit], ..Meta::default() };
    let limited = Exec { meta: Some(limited), mounts: vec![root.clone()], ..Exec::default() };
    refused(&with(Kind::Exec(Box::new(limited))), "none");
    let host = HostAddress { name: "h".to_owned(), address: "nowhere".to_owned() };
    let hosts = Meta { hosts: vec![host], ..Meta::default() };
    let hosts = Exec { meta: Some(hosts), mounts: vec![root], ..Exec::default() };
    refused(&with(Kind::Exec(Box::new(hosts))), "a host \"h\"");
    for identifier in ["nothing", "oci-layout://x@sha256:0", "https://x/..", "mica-result://x"] {
        let mut making = Making::default();
        let source = making.source(identifier);
        assert!(planned(&making.end(&source, 0)).is_err(), "{identifier}");
    }
}

#[test]
fn what_commands_find_is_their_own() {
    let mut making = Making::default();
    let base = making.source("docker-image://bb");
    let meta = Meta {
        words: vec!["x".to_owned()],
        hostname: "h".to_owned(),
        hosts: vec![HostAddress { name: "db".to_owned(), address: "::1".to_owned() }],
        limits: vec![Limit { name: "nofile".to_owned(), soft: 10, hard: 20 }],
        good_codes: vec![0, 7],
        proxies: Some(Proxies { http: "p:1".to_owned(), ..Proxies::default() }),
        ..Meta::default()
    };
    let root = Mount { target: "/".to_owned(), ..Mount::default() };
    let exec = Exec { meta: Some(meta), mounts: vec![root], ..Exec::default() };
    let run = making.add(&[(&base, 0)], Some(Kind::Exec(Box::new(exec))));
    let graph = planned(&making.end(&run, 0)).unwrap().graph;
    let StepOp::Run { run, .. } = &graph.steps[graph.target].op else { panic!("{graph:?}") };
    let own = run.circumstances.as_ref().unwrap();
    assert_eq!(
        (own.hostname.as_deref(), own.hosts.as_slice()),
        (Some("h"), &["db:::1".to_owned()][..])
    );
    assert_eq!((own.limits[0].soft, own.limits[0].hard), (10, 20));
    assert_eq!((own.good_codes.as_slice(), own.proxies.len()), (&[0, 7][..], 2));
}

#[test]
fn times_and_accounts_are_the_actions_own() {
    let mut making = Making::default();
    let (base, other) = (making.source("docker-image://bb"), making.source("docker-image://users"));
    let file = |created, input| {
        let who = Who { by: Some(WhoBy::Name(Named { name: "me".to_owned(), input })) };
        let owner = Some(Owner { user: Some(who), group: None });
        Action::File(MakeFile { path: "/f".to_owned(), created, owner, ..MakeFile::default() })
    };
    let created = |graph: &Definition| {
        let graph = planned(graph).unwrap().graph;
        let step = &graph.steps[graph.target];
        let StepOp::Change(Change::File { created, .. }) = &step.op else { panic!("{step:?}") };
        (*created, step.sources.clone())
    };
    let graph = |action| {
        let actions = vec![FileAction { input: 0, second: -1, output: 0, action: Some(action) }];
        let mut making = Making(making.0.clone());
        let made = making.add(&[(&base, 0), (&other, 0)], Some(Kind::File(FileOp { actions })));
        making.end(&made, 0)
    };
    assert_eq!(created(&graph(file(-1, 0))), (None, vec![]));
    assert_eq!(created(&graph(file(1_500_000_000, 1))), (Some((1, 500_000_000)), vec![1]));
}

#[test]
fn images_of_the_clients_stores_are_named_by_digest() {
    let digest = Digest::of(b"an image");
    let mut making = Making::default();
    let source = making.source(&format!("oci-layout://store:1@{digest}"));
    let needs = planned(&making.end(&source, 0)).unwrap().needs;
    let [(_, layout)] = needs.layouts.as_slice() else { panic!("one image") };
    assert_eq!((layout.store.as_str(), layout.digest), ("store", digest));
}

#[test]
fn a_graph_within_a_graph_is_planned_when_it_is_known() {
    let mut inner = Making::default();
    let base = inner.source("docker-image://bb");
    let actions = vec![action(0, -1, 0, file("/inner"))];
    let made = inner.add(&[(&base, 0)], Some(Kind::File(FileOp { actions })));
    let inner = inner.end(&made, 0);
    let mut making = Making::default();
    let writer = making.source("docker-image://writer");
    let attributes = [("llbbuild.filename".to_owned(), "graph".to_owned())].into();
    let inputs = [(DEFINITION.to_owned(), OneInput { input: 0 })].into();
    let build = BuildOp { builder: -1, inputs, attributes };
    let built = making.add(&[(&writer, 0)], Some(Kind::Build(build.clone())));
    let actions = vec![action(0, -1, 0, file("/outer"))];
    let outer = making.add(&[(&built, 0)], Some(Kind::File(FileOp { actions })));
    let graph = making.end(&outer, 0);
    let looked = |part: &Definition, path: &str| {
        assert_eq!(path, "graph");
        assert_eq!(render(part), "0: base writer\n");
        Ok(inner.encode_to_vec())
    };
    let steps = plan(&graph, &looked).unwrap().graph.render();
    assert_eq!(steps, "0: base writer\n1: base bb\n2 on 1: mkfile /inner\n3 on 2: mkfile /outer\n");
    assert!(check(&graph).is_ok(), "what is in the file is not known before");
    // One that is in itself has no end.
    let endless = |_: &Definition, _: &str| Ok(graph.encode_to_vec());
    let status = plan(&graph, &endless).err().unwrap();
    assert!(status.message.contains("without end"), "{status}");
    let mut making = Making::default();
    let writer = making.source("docker-image://writer");
    let own = making.add(&[(&writer, 0)], Some(Kind::Build(BuildOp { builder: 0, ..build })));
    refused(&making.end(&own, 0), "for a builder of its own");
}

#[test]
fn a_long_chain_costs_its_length() {
    let mut making = Making::default();
    let mut last = making.source("docker-image://bb");
    for number in 0..MAX_OPERATIONS - 2 {
        let actions = vec![action(0, -1, 0, file(&format!("/{number}")))];
        last = making.add(&[(&last, 0)], Some(Kind::File(FileOp { actions })));
    }
    assert_eq!(planned(&making.end(&last, 0)).unwrap().graph.steps.len(), MAX_OPERATIONS - 1);
}
