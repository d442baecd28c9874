//! Graphs of operations (LLB): what clients send that have no Dockerfile, or have read one
//! themselves, as steps of the engine's.
//!
//! An operation is a message; its name is the digest of its bytes, and by that name others use what
//! it gives. So a graph has no circles, and the same operation stands in it once. A stranger has
//! made it: it is bounded, every number in it is looked up, and nothing goes deeper into the stack
//! than the graph is wide.

mod exec;
mod files;
mod results;
mod sources;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use engine::steps::{Graph, Op as StepOp, Span, Step, StepId};
use prost::Message;
use spec::{Digest, Platform};

pub(super) use exec::host_line;
pub(super) use results::Referred;
pub(super) use sources::image_in_store;

use super::client::Choice;
use super::gateway::LLB_CAPABILITIES;
use super::messages::ops::{BuildOp, Definition, Input, Kind, Op};
use crate::wire::Status;

/// No graph has more operations, or more that one of them uses.
const MAX_OPERATIONS: usize = 20_000;
const MAX_INPUTS: usize = 1_000;
/// No operation has more results than inputs and mounts or actions.
const MAX_RESULTS: i64 = 1_000;
/// No graph is within more others.
const MAX_WITHIN: usize = 16;
/// The input that has a graph in a file, and what the file is called if nobody says.
const DEFINITION: &str = "buildkit.llb.definition";
/// What shows an operation under a name of its client's choice.
const NAME: &str = "llb.customname";

/// A graph as the engine has it.
pub(super) struct Planned {
    pub(super) graph: Graph,
    pub(super) needs: Needs,
}

/// What a graph needs of elsewhere, by the names that it has in it.
#[derive(Default)]
pub(super) struct Needs {
    /// Folders of the client.
    pub(super) folders: Vec<(String, Folder)>,
    /// Images of the client's own stores.
    pub(super) layouts: Vec<(String, Layout)>,
    /// Results of other builds.
    pub(super) results: Vec<(String, Referred)>,
    /// Whether images are to be asked for anew.
    pub(super) pull: bool,
}

/// A folder of the client.
pub(super) struct Folder {
    /// What the client calls it.
    pub(super) name: String,
    /// What it is shown as while it comes.
    pub(super) title: String,
    /// Which of its files.
    pub(super) choice: Choice,
}

/// An image in one of the client's stores.
pub(super) struct Layout {
    /// What the client calls the store.
    pub(super) store: String,
    /// The image's manifest, or an index of several.
    pub(super) digest: Digest,
    /// What it is shown as while it comes.
    pub(super) title: String,
    /// What it is to be for, if that is said.
    pub(super) platforms: Vec<Platform>,
}

/// Reads a file of what a graph gives, which is built for that.
pub(super) type Look<'a> = &'a dyn Fn(&Definition, &str) -> Result<Vec<u8>, Status>;

/// Refuses a graph that could not be built, as far as that is known before anything is built.
pub(super) fn check(definition: &Definition) -> Result<(), Status> {
    plan_with(definition, None).map(drop)
}

/// Makes steps of a graph, and of the graphs in it once they are known.
pub(super) fn plan(definition: &Definition, look: Look<'_>) -> Result<Planned, Status> {
    plan_with(definition, Some(look))
}

fn plan_with(definition: &Definition, look: Option<Look<'_>>) -> Result<Planned, Status> {
    let (steps, anew, needs, given, nothing, images) = Default::default();
    let (definition, within, operations) = (Arc::new(definition.clone()), 0, 0);
    let mut planner = Planner {
        definition,
        look,
        within,
        operations,
        steps,
        anew,
        needs,
        given,
        nothing,
        images,
    };
    let target = planner.graph()?;
    let Planner { steps, anew, needs, .. } = planner;
    Ok(Planned { graph: Graph { steps, target, anew }, needs })
}

/// One result of an operation.
#[derive(Clone, Copy)]
struct Output {
    digest: Digest,
    index: i64,
}

/// An operation whose inputs are known to be names.
struct Operation {
    digest: Digest,
    inputs: Vec<Output>,
    op: Op,
}

/// All operations of a graph.
struct Operations {
    all: Vec<Operation>,
    known: HashMap<Digest, usize>,
    target: Output,
}

impl Operations {
    fn read(definition: &Definition) -> Result<Operations, Status> {
        let count = definition.operations.len();
        if count == 0 || count > MAX_OPERATIONS {
            return Err(Status::invalid(format!("a graph of {count} operations")));
        }
        let mut all = Vec::with_capacity(count);
        let mut known = HashMap::with_capacity(count);
        for bytes in &definition.operations {
            let own = Operation::read(bytes)?;
            known.insert(own.digest, all.len());
            all.push(own);
        }
        // The last only points at the result.
        let last = all.last().expect("there is one at least");
        let target = match (&last.op.kind, last.inputs.as_slice()) {
            (None, [target]) => *target,
            _ => return Err(Status::invalid("a graph that does not end with its result")),
        };
        Ok(Operations { all, known, target })
    }

    fn find(&self, result: &Output) -> Result<usize, Status> {
        let found = self.known.get(&result.digest).copied();
        found.ok_or_else(|| Status::invalid(format!("the graph has no {}", result.digest)))
    }

    /// What the result needs, each after what it needs itself.
    fn in_order(&self) -> Result<Vec<usize>, Status> {
        #[derive(Clone, Copy, PartialEq)]
        enum Visit {
            New,
            Open,
            Done,
        }
        let mut visits = vec![Visit::New; self.all.len()];
        let mut order = Vec::new();
        let mut open = vec![(self.find(&self.target)?, 0)];
        while let Some((at, next)) = open.pop() {
            visits[at] = Visit::Open;
            match self.all[at].inputs.get(next) {
                None => {
                    visits[at] = Visit::Done;
                    order.push(at);
                }
                Some(input) => {
                    open.push((at, next + 1));
                    let input = self.find(input)?;
                    match visits[input] {
                        Visit::New => open.push((input, 0)),
                        // It would take two things with one digest.
                        Visit::Open => return Err(Status::invalid("a graph with a circle")),
                        Visit::Done => {}
                    }
                }
            }
        }
        Ok(order)
    }
}

impl Operation {
    fn read(bytes: &[u8]) -> Result<Operation, Status> {
        let op = Op::decode(bytes)
            .map_err(|error| Status::invalid(format!("an operation that is none: {error}")))?;
        if op.inputs.len() > MAX_INPUTS {
            return Err(Status::invalid("an operation with too many inputs"));
        }
        let input = |input: &Input| {
            let digest = input.digest.parse();
            let digest = digest.map_err(|_| Status::invalid("an input that is no digest"))?;
            if !(0..MAX_RESULTS).contains(&input.index) {
                return Err(Status::invalid(format!("there is no result {}", input.index)));
            }
            Ok(Output { digest, index: input.index })
        };
        let inputs = op.inputs.iter().map(input).collect::<Result<_, _>>()?;
        Ok(Operation { digest: Digest::of(bytes), inputs, op })
    }

    /// What it is for, if it says so.
    fn platform(&self) -> Result<Option<Platform>, Status> {
        let read = self.op.platform.as_ref().map(super::messages::ops::Platform::read);
        Ok(read.transpose()?.flatten())
    }
}

/// What an operation gives, by number; a folder of the client's that is only copied from is none yet.
type Results = HashMap<i64, Given>;

/// One thing that an operation gives.
#[derive(Clone, Copy)]
enum Given {
    /// What a step gives.
    Step(StepId),
    /// A folder of the client's, and what it is as a tree of its own, once somebody wants that.
    Folder(StepId, Option<StepId>),
}

struct Planner<'a> {
    /// The graph that is planned now.
    definition: Arc<Definition>,
    /// Who looks into what a part of it gives; nobody if it is only checked.
    look: Option<Look<'a>>,
    /// In how many others it is.
    within: usize,
    /// The operations of all of them.
    operations: usize,
    steps: Vec<Step>,
    anew: BTreeSet<StepId>,
    needs: Needs,
    given: HashMap<Digest, Results>,
    /// The step that gives nothing.
    nothing: Option<StepId>,
    images: HashMap<(String, Option<String>), StepId>,
}

impl Planner<'_> {
    /// Plans the whole graph, and gives its result.
    fn graph(&mut self) -> Result<StepId, Status> {
        let graph = Operations::read(&self.definition)?;
        self.operations += graph.all.len();
        if self.operations > MAX_OPERATIONS {
            return Err(Status::invalid("graphs within graphs of too many operations"));
        }
        for at in graph.in_order()? {
            let own = &graph.all[at];
            // A graph within another may have the same operations.
            if !self.given.contains_key(&own.digest) {
                let results = self.operation(own)?;
                self.given.insert(own.digest, results);
            }
        }
        self.result(&graph.target)
    }

    /// Builds the part of the graph whose result is another graph, and plans that.
    fn within(&mut self, own: &Operation, build: &BuildOp) -> Result<StepId, Status> {
        let input = build.inputs.get(DEFINITION).filter(|_| build.builder == -1);
        let input = input.ok_or_else(|| {
            Status::unsupported("a graph within a graph that is for a builder of its own")
        })?;
        let wanted = input_of(own, input.input)?;
        let Some(look) = self.look else { return Ok(self.nothing()) };
        if self.within >= MAX_WITHIN {
            return Err(Status::invalid("graphs within graphs within graphs without end"));
        }
        let mut part = (*self.definition).clone();
        let digest = wanted.digest.to_string();
        let end = Op { inputs: vec![Input { digest, index: wanted.index }], ..Op::default() };
        part.operations.pop();
        part.operations.push(end.encode_to_vec());
        let file = build.attributes.get("llbbuild.filename").filter(|name| !name.is_empty());
        let bytes = look(&part, file.map_or(DEFINITION, String::as_str))?;
        let inner = Definition::decode(bytes.as_slice())
            .map_err(|error| Status::invalid(format!("a graph that is none: {error}")))?;
        let outer = std::mem::replace(&mut self.definition, Arc::new(inner));
        self.within += 1;
        let target = self.graph();
        self.within -= 1;
        self.definition = outer;
        target
    }

    /// Refuses an operation that needs what is not done: a commit that would not be compared, a
    /// setting that would be left out.
    fn check_capabilities(&self, own: &Operation) -> Result<(), Status> {
        let metadata = self.definition.metadata.get(&own.digest.to_string());
        let mut asked = metadata.into_iter().flat_map(|metadata| &metadata.capabilities);
        match asked.find(|(name, is)| **is && !LLB_CAPABILITIES.contains(&name.as_str())) {
            Some((name, _)) => Err(Status::unsupported(format!(
                "requested capability {name:?} is not supported by mica"
            ))),
            None => Ok(()),
        }
    }

    fn operation(&mut self, own: &Operation) -> Result<Results, Status> {
        self.check_capabilities(own)?;
        let first = self.steps.len();
        let results = match &own.op.kind {
            Some(Kind::Source(source)) => self.source(own, source)?,
            Some(Kind::Exec(exec)) => self.exec(own, exec)?,
            Some(Kind::File(file)) => self.files(own, file)?,
            Some(Kind::Merge(merge)) if merge.inputs.len() > MAX_INPUTS => {
                return Err(Status::invalid(format!("a merge of {}", merge.inputs.len())));
            }
            Some(Kind::Merge(merge)) => {
                let inputs = merge.inputs.iter().map(|input| self.input(own, input.input));
                let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
                let (below, above) =
                    inputs.split_first().ok_or_else(|| Status::invalid("a merge of nothing"))?;
                let title = self.title(own, || "merge".to_owned());
                one(self.add(StepOp::Merge, Some(*below), above.to_vec(), title))
            }
            Some(Kind::Diff(diff)) => {
                let input = |side: &Option<_>| {
                    side.map_or(-1, |it: super::messages::ops::OneInput| it.input)
                };
                let sources = vec![
                    self.input(own, input(&diff.lower))?,
                    self.input(own, input(&diff.upper))?,
                ];
                let nothing = self.nothing();
                let title = self.title(own, || "diff".to_owned());
                one(self.add(StepOp::Diff, Some(nothing), sources, title))
            }
            Some(Kind::Build(build)) => one(self.within(own, build)?),
            None => return Err(Status::invalid("an operation that does nothing")),
        };
        let metadata = self.definition.metadata.get(&own.digest.to_string());
        if metadata.is_some_and(|metadata| metadata.ignore_cache) {
            self.anew.extend(first..self.steps.len());
        }
        Ok(results)
    }

    /// What an operation is shown as.
    fn title(&self, own: &Operation, usual: impl FnOnce() -> String) -> String {
        let metadata = self.definition.metadata.get(&own.digest.to_string());
        let name = metadata.and_then(|metadata| metadata.description.get(NAME));
        name.cloned().unwrap_or_else(usual)
    }

    fn add(
        &mut self,
        op: StepOp,
        parent: Option<StepId>,
        sources: Vec<StepId>,
        title: String,
    ) -> StepId {
        // It stands on no line of a Dockerfile.
        let span = Span::new(0, 0);
        let (stage, text) = (None, title.clone());
        let (used, documents) = Default::default();
        self.steps.push(Step { op, parent, sources, stage, text, title, span, used, documents });
        self.steps.len() - 1
    }

    /// The step that gives nothing.
    fn nothing(&mut self) -> StepId {
        match self.nothing {
            Some(step) => step,
            None => {
                let step = self.add(StepOp::Scratch, None, Vec::new(), "scratch".to_owned());
                self.nothing = Some(step);
                step
            }
        }
    }

    /// A result as a tree.
    fn result(&mut self, wanted: &Output) -> Result<StepId, Status> {
        match self.given(wanted)? {
            Given::Step(step) | Given::Folder(_, Some(step)) => Ok(step),
            Given::Folder(folder, None) => {
                let step = self.whole(folder);
                let known = Given::Folder(folder, Some(step));
                let results = self.given.entry(wanted.digest).or_default();
                results.insert(wanted.index, known);
                Ok(step)
            }
        }
    }

    /// A result to copy from.
    fn copied_from(&self, wanted: &Output) -> Result<StepId, Status> {
        Ok(match self.given(wanted)? {
            Given::Step(step) | Given::Folder(step, _) => step,
        })
    }

    fn given(&self, wanted: &Output) -> Result<Given, Status> {
        let found = self.given.get(&wanted.digest).and_then(|all| all.get(&wanted.index));
        let none = || format!("{} has no result {}", wanted.digest, wanted.index);
        found.copied().ok_or_else(|| Status::invalid(none()))
    }

    /// An operation's input by number, as a tree; -1 is nothing.
    fn input(&mut self, own: &Operation, number: i64) -> Result<StepId, Status> {
        match number {
            -1 => Ok(self.nothing()),
            number => self.result(&input_of(own, number)?),
        }
    }
}

fn input_of(own: &Operation, number: i64) -> Result<Output, Status> {
    let input = usize::try_from(number).ok().and_then(|number| own.inputs.get(number));
    input.copied().ok_or_else(|| Status::invalid(format!("an operation has no input {number}")))
}

/// One result.
fn one(step: StepId) -> Results {
    HashMap::from([(0, Given::Step(step))])
}

#[cfg(test)]
mod tests;
