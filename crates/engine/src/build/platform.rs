//! A build for one platform: planned, solved, and put together.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use ::build::error::Excerpts;
use ::build::graph::{Bases as _, Graph, Op, Step, StepId, plan};
use ::build::instruction::Kind;
use ::build::lint::{Finding, Surroundings, check};
use ::build::scan::Scanned;
use ::build::scope::{Inputs, PROXY_ARGUMENTS};
use ::build::solver::solve;
use ::build::stage::Stages;
use ::build::syntax::Document;
use spec::{Digest, Platform};

use super::Failed;
use super::assemble::{Image, Scans, assemble};
use super::bases::{Bases, Planned};
use super::carried::Done;
use super::context::Opened;
use super::explain::Earlier;
use super::imports::Imports;
use super::is_remote_context;
use super::place::Place;
use super::recorder::Recorder;
use super::request::{BuildRequest, BuildWarning};
use super::session::BuildSession;
use super::tell::Teller;
use super::tracks::Tracks;
use super::watch::PlannedLine;
use super::work::{Builder, Made};
use crate::build_call::known_bases;
use crate::error::{EngineError, Result};

/// So many steps may be at work at once on the smallest machine: commands often wait for something
/// else than a processor.
const LEAST_THREADS: usize = 4;

/// So many findings are told, and so much of the file with them; more are counted.
const MAX_FINDINGS: usize = 1000;
const MAX_SHOWN_BYTES: usize = 4 << 20;

/// The argument that says the latest time.
const EPOCH: &str = "SOURCE_DATE_EPOCH";
/// Its value that means the time of the context.
const CONTEXT: &str = "context";
/// Arguments that need not be declared.
const KNOWN_ARGUMENTS: [&str; 2] = ["BUILDKIT_", EPOCH];

/// A build for one platform.
#[derive(Clone, Copy)]
pub(super) struct ForPlatform<'a> {
    pub(super) session: &'a BuildSession<'a>,
    pub(super) request: &'a BuildRequest,
    pub(super) opened: &'a Opened,
    /// The Dockerfile, if there is one.
    pub(super) document: Option<&'a Document>,
    /// Named contexts that are folders.
    pub(super) folders: &'a HashMap<String, Arc<Place>>,
    /// What others did.
    pub(super) imports: &'a Imports,
    pub(super) teller: &'a Teller<'a>,
    pub(super) recorder: &'a Recorder<'a>,
    /// What the checks found.
    pub(super) found: &'a Mutex<Vec<BuildWarning>>,
    /// Whether what bases want done in those that begin with them is done.
    pub(super) triggers: bool,
    /// Nothing if nobody asked for one: then it is for this machine, and bases may be for others.
    pub(super) platform: Option<&'a Platform>,
}

/// What is to be done.
struct Plan {
    graph: Graph,
    /// The names of stages, by their numbers.
    names: Vec<Option<String>>,
    escape: char,
    /// What the stages want looked through.
    scanned: Vec<Scanned>,
    /// No time in the image is later.
    epoch: Option<i64>,
}

impl Plan {
    /// Steps that no Dockerfile says.
    fn given(graph: Option<Graph>, epoch: Option<i64>) -> Plan {
        let graph = graph.expect("what is opened has a Dockerfile or a graph");
        Plan { graph, names: Vec::new(), escape: '\\', scanned: Vec::new(), epoch }
    }
}

impl ForPlatform<'_> {
    /// Builds.
    pub(super) fn build(&self) -> Result<Image, Failed> {
        let ForPlatform { session, request, teller, folders, opened, .. } = *self;
        let host = Platform::host();
        let platform = self.platform.unwrap_or(&host);
        let known = Mutex::default();
        let bases = Bases { session, request, teller, platform: self.platform, known };
        let Plan { graph, names, escape, scanned, epoch } = match (self.document, &opened.graph) {
            (Some(document), _) => self.plan(document, &bases, platform)?,
            (None, graph) => Plan::given(graph.clone(), request.epoch),
        };
        let (views, network, failed, keys, used, written) = Default::default();
        let builder = Builder {
            session,
            engine: session.engine,
            lease: &session.lease,
            request,
            epoch,
            graph: &graph,
            bases: &bases,
            context: self.opened.place.clone(),
            folders,
            stages: names,
            escape,
            teller,
            flights: &session.flights,
            imports: self.imports,
            keys,
            used,
            platform,
            views,
            network,
            failed,
            written,
            made: Mutex::new(vec![None; graph.steps.len()]),
            tracks: Tracks::of(&graph),
            earlier: Earlier::of(self.recorder.record(), platform),
        };
        let threads =
            std::thread::available_parallelism().map_or(1, usize::from).max(LEAST_THREADS);
        let made = solve(&graph, &builder, threads);
        self.recorder.steps(builder.tracks.steps(&graph, &builder.stages, platform));
        let made = made.map_err(|error| blame(&graph, &builder, error))?;
        let mut image = assemble(session.engine, &graph, &made, (request, platform, epoch))?;
        image.done = done(&builder, &made);
        if request.sbom.is_some() {
            image.scans = scans(&builder, &made, &scanned);
        }
        let used = builder.used.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        image.used = used.into_iter().collect();
        Ok(image)
    }

    /// Plans what a Dockerfile says.
    fn plan(
        &self,
        document: &Document,
        bases: &Bases<'_>,
        platform: &Platform,
    ) -> Result<Plan, Failed> {
        let ForPlatform { request, teller, folders, .. } = *self;
        let failed = |error: ::build::BuildError| Failed::from(EngineError::from(error));
        let mut inputs = Inputs {
            arguments: request.arguments.clone(),
            target_platform: platform.clone(),
            build_platform: Platform::host(),
            target: request.target.clone(),
        };
        let mut stages = Stages::read(document, &inputs).map_err(failed)?;
        // Said once for all platforms.
        let is_first = self.platform.is_none_or(|own| request.platforms.first() == Some(own));
        let unused = self.undeclared(&stages);
        if is_first {
            self.warn_of_frontend(document);
            self.check(&inputs)?;
        }
        let replaced = stages.replace(|name| request.context(name).is_some());
        let planned = Planned { bases, failed: None.into(), folders, triggers: self.triggers };
        stages.check_names(|name| planned.is_context(name)).map_err(failed)?;
        let names = stages.stages.iter().map(|stage| stage.name.clone()).collect();
        let (escape, scanned) = (stages.escape, stages.scanned(&inputs));
        let epoch = self.epoch(&stages)?;
        settle_epoch(&mut inputs, &mut stages, epoch);
        let graph = plan(stages, &inputs, &planned).map_err(failed)?;
        if let Some(error) = planned.failed.into_inner() {
            return Err(blame_base(&graph, error));
        }
        if is_first {
            self.warn_of_arguments(unused, &graph);
        }
        teller.planned(&self.lines(document, &graph, &replaced)?);
        Ok(Plan { graph, names, escape, scanned, epoch })
    }

    /// The latest time in the image: what the request says, or else an argument that is given or
    /// stands in the file's head; `context` is when the context's files are of. A folder has no such
    /// time: then nothing is said.
    fn epoch(&self, stages: &Stages) -> Result<Option<i64>> {
        let given = self.request.arguments.get(EPOCH).map(String::as_str);
        let said = given.or_else(|| stages.global.get(EPOCH)).filter(|text| !text.is_empty());
        let wrong = |why: &str| {
            EngineError::Input(format!(
                "invalid SOURCE_DATE_EPOCH: {}{why}",
                said.unwrap_or_default()
            ))
        };
        match (self.request.epoch, said) {
            (Some(epoch), _) => Ok(Some(epoch)),
            (None, None) => Ok(None),
            (None, Some(CONTEXT)) => match self.opened.time {
                None if is_remote_context(&self.recorder.record().context) => {
                    Err(wrong(": the web does not say when the context is of"))
                }
                time => Ok(time),
            },
            (None, Some(text)) => {
                let why = ": it is a number of seconds since 1970, or `context`";
                text.parse().map(Some).map_err(|_| wrong(why))
            }
        }
    }

    /// The instructions of the stages that are needed, each with the step that carries it out.
    fn lines(
        &self,
        document: &Document,
        graph: &Graph,
        replaced: &[usize],
    ) -> Result<Vec<PlannedLine>> {
        let (mut lines, mut stage, mut is_needed) = (Vec::new(), None, true);
        // The first step of each line, and the stages that have any: there may be thousands.
        let (mut steps, mut stages) = (HashMap::new(), HashSet::new());
        for step in graph.steps.iter().filter(|step| step.stage.is_some()) {
            steps.entry(step.span.first).or_insert(step);
            stages.insert(step.stage);
        }
        for instruction in ::build::instruction::read(document)? {
            let is_first = matches!(instruction.kind, Kind::From { .. });
            if is_first {
                stage = Some(stage.map_or(0, |before| before + 1));
                is_needed = stages.contains(&stage);
            }
            // Arguments above the first stage are of none.
            let is_replaced = stage.is_some_and(|stage| replaced.contains(&stage));
            if !is_needed || !is_first && is_replaced {
                continue;
            }
            let line = instruction.span.first;
            let step = steps.get(&line).filter(|step| step.is_work());
            let title = step.map(|step| self.teller.entitled(&step.title));
            lines.push(PlannedLine { text: instruction.text, line, title });
        }
        Ok(lines)
    }

    /// Tells what the checks find, and refuses the file if it or the user wants that.
    fn check(&self, inputs: &Inputs) -> Result<()> {
        let text = &self.opened.text;
        let context = self.opened.place.context.as_ref();
        let bases = known_bases(text, inputs, Some(self.session.engine))?;
        let ignore = context.map(|context| &context.ignore);
        let around = Surroundings { inputs, ignore, has_context: context.is_some(), bases: &bases };
        let report = check(text, &around)?;
        self.tell_findings(report.warnings().collect());
        report.error().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Tells what the checks found. A file that was made for it may have a million findings.
    fn tell_findings(&self, findings: Vec<&Finding>) {
        let excerpts = Excerpts::of(&self.opened.name, &self.opened.text);
        let (mut told, mut shown_bytes) = (0, 0);
        let (file, text): (Arc<str>, Arc<str>) =
            (Arc::from(&*self.opened.name), Arc::from(&*self.opened.text));
        let mut kept = self.found.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for Finding { rule, message, span, .. } in &findings {
            if told == MAX_FINDINGS || shown_bytes > MAX_SHOWN_BYTES {
                break;
            }
            let short = format!("{}: {message} (line {})", rule.name, span.first);
            let lines = excerpts.at(*span);
            self.teller.finding(&short, &format!("{}\n{}\n{lines}", rule.about, rule.why));
            kept.push(BuildWarning {
                short: short.clone(),
                detail: rule.about.to_owned(),
                file: file.clone(),
                text: text.clone(),
                lines: (span.first, span.last),
            });
            (told, shown_bytes) = (told + 1, shown_bytes + short.len() + lines.len());
        }
        let more = findings.len() - told;
        if more > 0 {
            self.teller.warn(&format!("[Warning] {more} more findings of checks are not told"));
        }
    }

    /// A frontend that does not read Dockerfiles would make something else of the file. Which image it
    /// is its name alone says, and many keep docker's own in a registry of theirs.
    fn warn_of_frontend(&self, document: &Document) {
        let asked = self.request.arguments.get(FRONTEND_ARGUMENT);
        let Some(asked) = asked.or(document.directives.syntax.as_ref()) else { return };
        let name = asked.split(['@', ' ']).next().unwrap_or_default();
        let last = name.rsplit('/').next().unwrap_or_default();
        let last = last.split(':').next().unwrap_or_default();
        if !name.is_empty() && !DOCKERFILE_FRONTENDS.contains(&last) {
            let words = format!(
                "[Warning] the frontend {name} is not run: mica reads the file itself, as docker/dockerfile does"
            );
            self.teller.warn(&words);
        }
    }

    /// Arguments that nothing in the file declares.
    fn undeclared(&self, stages: &Stages) -> Vec<&str> {
        let declared = |name: &str| {
            let instructions = || stages.stages.iter().flat_map(|stage| &stage.instructions);
            stages.global.get(name).is_some()
                || instructions().any(|own| declares(&own.kind, name))
                || PROXY_ARGUMENTS.contains(&name)
                || KNOWN_ARGUMENTS.iter().any(|known| name.starts_with(known))
        };
        let given = self.request.arguments.keys().map(String::as_str);
        given.filter(|name| !declared(name)).collect()
    }

    /// Tells of those that no trigger of a base declares either.
    fn warn_of_arguments(&self, mut unused: Vec<&str>, graph: &Graph) {
        let declared = |name: &str| {
            let is_it =
                |step: &Step| matches!(&step.op, Op::Config { kind, .. } if declares(kind, name));
            graph.steps.iter().any(is_it)
        };
        unused.retain(|name| !declared(name));
        if !unused.is_empty() {
            let list = unused.join(" ");
            let words = format!("[Warning] One or more build-args [{list}] were not consumed");
            self.teller.warn(&words);
        }
    }
}

/// The argument that names a frontend, whatever the file says.
const FRONTEND_ARGUMENT: &str = "BUILDKIT_SYNTAX";
/// What those images are called that read Dockerfiles.
const DOCKERFILE_FRONTENDS: [&str; 4] =
    ["dockerfile", "dockerfile-upstream", "dockerfile.v0", "gateway.v0"];

/// Whether an instruction declares an argument.
fn declares(kind: &Kind, name: &str) -> bool {
    matches!(kind, Kind::Arg(list) if list.iter().any(|(own, _)| own == name))
}

/// Gives the argument of the latest time the number that it means; without one it is not set.
fn settle_epoch(inputs: &mut Inputs, stages: &mut Stages, epoch: Option<i64>) {
    let is_given = inputs.arguments.get(EPOCH).is_some_and(|text| text == CONTEXT);
    let is_in_head = stages.global.get(EPOCH) == Some(CONTEXT);
    match epoch {
        Some(seconds) if is_given || is_in_head => {
            inputs.arguments.insert(EPOCH.to_owned(), seconds.to_string());
        }
        Some(_) => {}
        None => {
            if is_in_head {
                stages.global.unset_argument(EPOCH);
            }
            if is_given {
                inputs.arguments.remove(EPOCH);
            }
        }
    }
}

/// What is looked through besides the image: what those stages want that were built.
fn scans(builder: &Builder<'_>, made: &[Made], scanned: &[Scanned]) -> Scans {
    let Graph { steps, target, .. } = builder.graph;
    let mut scans = Scans::default();
    for (stage, wanted) in scanned.iter().enumerate() {
        let Some(end) = steps.iter().rposition(|step| step.stage == Some(stage)) else { continue };
        scans.context |= wanted.context;
        // The result is looked through anyway.
        if wanted.stage && steps[*target].stage != Some(stage) {
            let name = builder.stages.get(stage).cloned().flatten();
            scans.stages.push((name.unwrap_or_else(|| stage.to_string()), made[end].top));
        }
    }
    scans
}

/// The steps that have a key.
fn done(builder: &Builder<'_>, made: &[Made]) -> Vec<Done> {
    let mut in_image = BTreeSet::new();
    let mut next = Some(builder.graph.target);
    while let Some(step) = next {
        in_image.insert(step);
        next = builder.graph.steps[step].parent;
    }
    let keys = builder.keys.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let done = |(at, key): (&StepId, &Digest)| Done {
        key: *key,
        layer: made[*at].layer,
        in_image: in_image.contains(at),
    };
    keys.iter().map(done).collect()
}

/// The stage that asked for a base that cannot be had.
fn blame_base(graph: &Graph, error: EngineError) -> Failed {
    let asked = match &error {
        EngineError::Base { name, .. } => name.clone(),
        _ => String::new(),
    };
    let is_it = |step: &&Step| matches!(&step.op, Op::Base { image, .. } if *image == asked);
    let step = graph.steps.iter().find(is_it);
    let step = step.map(|step| (String::new(), step.span, String::new()));
    Failed { error, step, left: None }
}

fn blame(graph: &Graph, builder: &Builder<'_>, error: EngineError) -> Failed {
    let failed = builder.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    let left = failed.as_ref().and_then(|(at, _)| builder.tracks.left(*at)).map(Box::new);
    let step = failed.map(|(at, printed)| {
        let step = &graph.steps[at];
        (builder.teller.entitled(&step.title), step.span, printed)
    });
    Failed { error, step, left }
}
