//! Builds that begin with what clients have or have built: images of their own stores, graphs,
//! results of other builds.

use std::collections::HashMap;
use std::fs;

use prost::Message;

use super::client::Lab;
use crate::buildkit::messages::Nothing;
use crate::buildkit::messages::control::{Exporter, SolveRequest};
use crate::buildkit::messages::gateway::{
    InputsResponse, Results, ReturnRequest, SolveRequest as GatewaySolve,
    SolveResponse as GatewaySolved,
};
use crate::buildkit::messages::ops::{
    Action, Definition, FileAction, FileOp, Input, Kind, MakeFile, Op,
};
use crate::wire::Exchange;

const BASE: &str = "FROM scratch AS one\nLABEL of=base\nCOPY a /a\n";
const ABOVE: &str = "FROM other\nCOPY sub /sub\n";

fn lab(dockerfile: &str) -> Lab {
    let lab = Lab::new();
    lab.folder("dockerfile", &[("Dockerfile", dockerfile)]);
    lab.folder("context", &[("a", "of a"), ("sub/b", "of b")]);
    lab
}

fn request(reference: &str, kind: &str, attributes: &[(&str, &str)]) -> SolveRequest {
    let exporter = Exporter { kind: kind.to_owned(), attributes: HashMap::new() };
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    SolveRequest {
        reference: reference.to_owned(),
        session: "the-session".to_owned(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attributes: attributes.iter().map(pair).collect(),
        exporters: vec![exporter],
        ..SolveRequest::default()
    }
}

#[test]
fn images_come_from_the_clients_stores() {
    let lab = lab(BASE);
    let (one, two) = (lab.folder.path().join("one"), lab.folder.path().join("two"));
    fs::create_dir(&one).unwrap();
    lab.take_results(&one);
    let mut image = request("first", "oci", &[]);
    image.exporters[0].attributes.insert("tar".to_owned(), "false".to_owned());
    let digest = lab.solve(image).unwrap().exporter_response["containerimage.digest"].clone();
    let blobs = lab.client.store("export");
    lab.take_results(&two);
    for blob in fs::read_dir(&blobs).unwrap() {
        let blob = blob.unwrap();
        fs::copy(blob.path(), lab.client.store("oci:there").join(blob.file_name())).unwrap();
    }
    let everything = engine::PruneCache { all: true, ..engine::PruneCache::default() };
    lab.app.engine().unwrap().prune_cache(&everything).unwrap();
    lab.folder("dockerfile", &[("Dockerfile", ABOVE)]);
    let context = format!("oci-layout://there:tag@{digest}");
    lab.solve(request("second", "local", &[("context:other", &context)])).unwrap();
    assert_eq!(fs::read_to_string(two.join("a")).unwrap(), "of a");
    assert_eq!(fs::read_to_string(two.join("sub/b")).unwrap(), "of b");
    let other = format!("oci-layout://nowhere@{digest}");
    let missing = lab.solve(request("third", "local", &[("context:other", &other)])).unwrap_err();
    assert!(missing.message.contains("No such file"), "{missing}");
}

#[test]
fn tokens_are_fetched_by_the_client() {
    use engine::{Credentials, WantedToken};
    let lab = Lab::new();
    let session = lab.app.buildkit.sessions.wait("the-session").unwrap();
    let lent = crate::buildkit::client::Lent::new(session);
    let scopes = ["repository:a:pull"];
    let (realm, service) = ("https://tokens", "r");
    let server = "https://index.docker.io/v1/";
    let given = lent.token(&WantedToken { server, realm, service, scopes: &scopes });
    let given = given.unwrap().expect("it says that it fetches tokens");
    let wanted = "registry-1.docker.io https://tokens r [\"repository:a:pull\"]";
    assert_eq!((given.token.expose(), given.holds.unwrap().as_secs()), (wanted, 60));
}

/// A graph that makes one file.
fn file(path: &str, text: &str) -> Definition {
    let (path, data) = (path.to_owned(), text.as_bytes().to_vec());
    let file = MakeFile { path, data, mode: 0o644, owner: None, created: -1 };
    let action = Some(Action::File(file));
    let actions = vec![FileAction { input: -1, second: -1, output: 0, action }];
    let made = Op { kind: Some(Kind::File(FileOp { actions })), ..Op::default() }.encode_to_vec();
    let inputs = vec![Input { digest: spec::Digest::of(&made).to_string(), index: 0 }];
    let end = Op { inputs, ..Op::default() }.encode_to_vec();
    Definition { operations: vec![made, end], ..Definition::default() }
}

#[test]
fn a_frontend_begins_with_graphs_of_its_client() {
    let lab = lab("FROM other\nCOPY sub /sub\nCOPY --from=more /file /more\n");
    let out = lab.folder.path().join("out");
    fs::create_dir(&out).unwrap();
    lab.take_results(&out);
    let contexts = [("context:other", "input:k"), ("context:more::linux/amd64", "input:l")];
    let mut asked = request("inputs", "local", &contexts);
    asked.frontend_inputs = [("k", "below"), ("l", "beside")]
        .map(|(name, text)| (name.to_owned(), file("/file", text)))
        .into();
    lab.solve(asked).unwrap();
    assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "below");
    assert_eq!(fs::read_to_string(out.join("more")).unwrap(), "beside");
    assert!(out.join("sub/b").exists());
    let unknown = lab.solve(request("none", "local", &contexts)).unwrap_err();
    assert!(unknown.message.contains("invalid input"), "{unknown}");
}

#[test]
fn a_build_begins_with_what_another_gives() {
    let lab = lab(BASE);
    let out = lab.folder.path().join("out");
    fs::create_dir(&out).unwrap();
    lab.take_results(&out);
    let mut steered = SolveRequest { frontend: String::new(), ..request("below", "local", &[]) };
    steered.exporters.clear();
    steered.frontend_inputs.insert("k".to_owned(), file("/file", "of the client"));
    let control = lab.control.clone();
    let solving = std::thread::spawn(move || {
        control.ask::<Nothing>("/moby.buildkit.v1.Control/Solve", &steered)
    });
    let call = |method: &str| {
        let path = format!("/moby.buildkit.v1.frontend.LLBBridge/{method}");
        lab.control.call(&path, &[("buildkit-controlapi-buildid", "below".to_owned())]).unwrap()
    };
    let Exchange { mut incoming, outgoing } = call("Inputs");
    outgoing.send(&Nothing {}).unwrap();
    assert!(incoming.one::<InputsResponse>().unwrap().definitions.contains_key("k"));
    let Exchange { mut incoming, outgoing } = call("Solve");
    let wanted = GatewaySolve {
        frontend: "dockerfile.v0".to_owned(),
        allow_result_return: true,
        allow_result_array: true,
        ..GatewaySolve::default()
    };
    outgoing.send(&wanted).unwrap();
    let result = incoming.one::<GatewaySolved>().unwrap().result.unwrap();
    let Some(Results::One(one)) = result.results else { panic!("{result:?}") };
    let given = one.definition.expect("a result can be given to others");
    // What is below is built with its own Dockerfile, now that somebody needs it.
    lab.folder("own", &[("Dockerfile", "FROM other\nCOPY --from=other /a /again\n")]);
    let attributes = [("context:other", "input:k"), ("dockerfilekey", "own")];
    let mut above = request("above", "local", &attributes);
    above.frontend_inputs = [("k".to_owned(), given.clone())].into();
    lab.solve(above.clone()).unwrap();
    assert_eq!(fs::read_to_string(out.join("again")).unwrap(), "of a");
    assert!(out.join("a").exists());
    let Exchange { mut incoming, outgoing } = call("Return");
    outgoing.send(&ReturnRequest::default()).unwrap();
    incoming.one::<Nothing>().unwrap();
    solving.join().unwrap().unwrap();
    above.reference = "late".to_owned();
    let late = lab.solve(above).unwrap_err();
    assert!(late.message.contains("build below has ended"), "{late}");
}
