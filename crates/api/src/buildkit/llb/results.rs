//! Results of builds as graphs. A client that steers a build is given one for each result: it says
//! nothing but which result of which build is meant, and may be part of another graph, or be what
//! another build begins with. Only the server that gave it can read it.

use prost::Message;
use spec::Digest;

use super::super::messages::ops::{Definition, Input, Kind, Op, SourceOp};

/// What such a source is called.
pub(super) const SCHEME: &str = "mica-result";

/// A result of a build whose client steers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::buildkit) struct Referred {
    /// What the client calls the build.
    pub(in crate::buildkit) build: String,
    /// What the result is called there.
    pub(in crate::buildkit) reference: String,
}

impl Referred {
    /// Reads what follows the scheme.
    pub(super) fn parse(rest: &str) -> Option<Referred> {
        let (build, reference) = rest.rsplit_once('/')?;
        Some(Referred { build: build.to_owned(), reference: reference.to_owned() })
    }

    /// The graph that means it.
    pub(in crate::buildkit) fn graph(&self) -> Definition {
        let identifier = format!("{SCHEME}://{}/{}", self.build, self.reference);
        let source = Kind::Source(SourceOp { identifier, ..SourceOp::default() });
        let source = Op { kind: Some(source), ..Op::default() }.encode_to_vec();
        let result = Input { digest: Digest::of(&source).to_string(), index: 0 };
        let last = Op { inputs: vec![result], ..Op::default() }.encode_to_vec();
        Definition { operations: vec![source, last], ..Definition::default() }
    }

    /// The result that a graph means, if it says nothing else.
    pub(in crate::buildkit) fn of(graph: &Definition) -> Option<Referred> {
        let [source, _] = graph.operations.as_slice() else { return None };
        let Some(Kind::Source(source)) = Op::decode(source.as_slice()).ok()?.kind else {
            return None;
        };
        let (scheme, rest) = source.identifier.split_once("://")?;
        (scheme == SCHEME).then(|| Referred::parse(rest)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_found_again_in_its_graph() {
        let own = Referred { build: "b/1".to_owned(), reference: "r".to_owned() };
        assert_eq!(Referred::of(&own.graph()), Some(own.clone()));
        let mut more = own.graph();
        more.operations.push(Vec::new());
        assert_eq!(Referred::of(&more), None);
        assert_eq!(Referred::of(&Definition::default()), None);
    }
}
