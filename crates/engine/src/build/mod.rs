//! `build`: a Dockerfile and a context become an image.
//!
//! The room `build` says what has to be done and in what order; here it is done. A context is read
//! in place, a `COPY` becomes a layer in one pass, a `RUN` runs in a tree whose top is thrown away,
//! and what a step gave is remembered under the name of all that it depended on.

mod assemble;
mod bases;
mod below;
mod context;
mod copy;
mod explain;
mod export;
mod fetch;
mod files;
mod hashes;
mod layers;
mod mounts;
mod output;
mod place;
mod prune;
mod request;
mod run;
mod seal;
mod tell;
mod watch;
mod work;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ::build::error::excerpt;
use ::build::graph::{Graph, plan};
use ::build::ignore::Ignore;
use ::build::instruction::Kind;
use ::build::scope::{Inputs, PROXY_ARGUMENTS};
use ::build::solver::solve;
use ::build::stage::Stages;
use spec::Platform;

pub use output::{
    Annotation, AnnotationPlace, ArchiveForm, FilesTarget, Output, Packing, Push, Types,
};
pub use prune::{BuildCache, CacheRow, PruneCache};
pub use request::{
    BuildFailure, BuildInput, BuildRequest, Built, BuiltImage, CacheUse, ContextSource,
    DockerfileSource, Fetch,
};
pub use watch::{BuildWatch, News};

use crate::Engine;
use crate::error::{EngineError, Result};
use bases::{Bases, Planned};
use context::Opened;
use export::Export;
use hashes::Hashes;
use place::{ContextFacts, Place};
use tell::Teller;
use work::Builder;

/// Arguments that need not be declared.
const KNOWN_ARGUMENTS: [&str; 2] = ["BUILDKIT_", "SOURCE_DATE_EPOCH"];

impl Engine {
    /// Builds an image.
    pub fn build(
        &self,
        input: BuildInput<'_>,
        request: &BuildRequest<'_>,
        watch: &dyn BuildWatch,
    ) -> Result<Built, Box<BuildFailure>> {
        let teller = Teller::new(watch);
        let lease = self.store().lease().map_err(EngineError::from)?;
        let opened = context::open(self, &lease, input, &teller)?;
        let built = Building { engine: self, lease: &lease, request, teller: &teller };
        let built = built.all(&opened);
        if let Some(own) = &opened.place.context {
            own.hashes.keep();
        }
        built.map_err(|failed| failed.told(&opened))
    }
}

/// A build under way.
struct Building<'a> {
    engine: &'a Engine,
    lease: &'a store::Lease,
    request: &'a BuildRequest<'a>,
    teller: &'a Teller<'a>,
}

/// An error, with the step that failed.
struct Failed {
    error: EngineError,
    step: Option<(String, ::build::Span, String)>,
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Failed {
        Failed { error, step: None }
    }
}

impl From<EngineError> for Box<BuildFailure> {
    fn from(error: EngineError) -> Box<BuildFailure> {
        Box::new(BuildFailure { error, step: None, excerpt: None })
    }
}

impl Failed {
    fn told(self, opened: &Opened) -> Box<BuildFailure> {
        let span = match (&self.step, &self.error) {
            (Some((_, span, _)), _) => Some(*span).filter(|span| span.first > 0),
            (None, EngineError::Dockerfile(error)) => error.span(),
            (None, _) => None,
        };
        let excerpt = span.map(|span| excerpt(&opened.name, &opened.text, span));
        let step = self.step.map(|(title, _, printed)| (title, printed));
        Box::new(BuildFailure { error: self.error, step, excerpt })
    }
}

impl Building<'_> {
    fn all(&self, opened: &Opened) -> Result<Built, Failed> {
        let failed = |error: ::build::BuildError| Failed::from(EngineError::from(error));
        let document = ::build::syntax::parse(&opened.text).map_err(failed)?;
        let inputs = Inputs {
            arguments: self.request.arguments.clone(),
            target_platform: self.request.platform.clone().unwrap_or_else(Platform::host),
            build_platform: Platform::host(),
            target: self.request.target.clone(),
        };
        let stages = Stages::read(&document, &inputs).map_err(failed)?;
        self.warn_of_arguments(&stages);
        let names = stages.stages.iter().map(|stage| stage.name.clone()).collect();
        let escape = stages.escape;
        let bases = Bases {
            engine: self.engine,
            lease: self.lease,
            request: self.request,
            teller: self.teller,
            known: Mutex::default(),
        };
        let folders = self.folders()?;
        let graph = {
            let planned = Planned { bases: &bases, failed: None.into(), folders: &folders };
            let graph = plan(stages, &inputs, &planned).map_err(failed)?;
            if let Some(error) = planned.failed.into_inner() {
                return Err(self.blame_base(&graph, error));
            }
            graph
        };
        let builder = Builder {
            engine: self.engine,
            lease: self.lease,
            request: self.request,
            graph: &graph,
            bases: &bases,
            context: opened.place.clone(),
            folders,
            stages: names,
            escape,
            teller: self.teller,
            views: Mutex::default(),
            network: Mutex::default(),
            failed: Mutex::default(),
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).max(2);
        let made = match solve(&graph, &builder, threads) {
            Ok(made) => made,
            Err(error) => return Err(blame(&graph, &builder, error)),
        };
        self.export(&graph, &made)
    }

    fn export(&self, graph: &Graph, made: &[work::Made]) -> Result<Built, Failed> {
        let Building { engine, lease, request, teller } = *self;
        let images = [assemble::assemble(engine, graph, made, request)?];
        Ok(Export { engine, lease, images: &images, teller }.all(&request.outputs)?)
    }

    /// Named contexts that are folders.
    fn folders(&self) -> Result<HashMap<String, Arc<Place>>> {
        let mut folders = HashMap::new();
        for (name, value) in &self.request.contexts {
            let path = Path::new(value);
            if value.contains("://") || !path.is_dir() {
                continue;
            }
            let path = path.canonicalize().map_err(EngineError::io("find", path))?;
            let root = sys::fs::open_folder(&path).map_err(EngineError::io("open", &path))?;
            let said = std::fs::read_to_string(path.join(".dockerignore")).unwrap_or_default();
            let hashes = Hashes::read(&self.engine.store().build_folder().join("contexts"), &path);
            let context = Some(ContextFacts { ignore: Ignore::parse(&said)?, hashes });
            folders.insert(name.clone(), Arc::new(Place { root, name: name.clone(), context }));
        }
        Ok(folders)
    }

    /// Tells of arguments that nothing declares.
    fn warn_of_arguments(&self, stages: &Stages) {
        let declared = |name: &str| {
            let list = |kind: &Kind| matches!(kind, Kind::Arg(list) if list.iter().any(|(own, _)| own == name));
            stages.global.get(name).is_some()
                || stages
                    .stages
                    .iter()
                    .flat_map(|stage| &stage.instructions)
                    .any(|own| list(&own.kind))
                || PROXY_ARGUMENTS.contains(&name)
                || KNOWN_ARGUMENTS.iter().any(|known| name.starts_with(known))
        };
        let unused: Vec<&str> = self
            .request
            .arguments
            .keys()
            .map(String::as_str)
            .filter(|name| !declared(name))
            .collect();
        if !unused.is_empty() {
            let list = unused.join(" ");
            let words = format!("[Warning] One or more build-args [{list}] were not consumed");
            self.teller.warn(&words);
        }
    }

    /// The stage that asked for a base that cannot be had.
    fn blame_base(&self, graph: &Graph, error: EngineError) -> Failed {
        let asked = match &error {
            EngineError::Base { name, .. } => name.clone(),
            _ => String::new(),
        };
        let is_it = |step: &&::build::graph::Step| matches!(&step.op, ::build::graph::Op::Base { image, .. } if *image == asked);
        let step = graph.steps.iter().find(is_it);
        let step = step.map(|step| (String::new(), step.span, String::new()));
        Failed { error, step }
    }
}

fn blame(graph: &Graph, builder: &Builder<'_>, error: EngineError) -> Failed {
    let failed = builder.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    let step = failed.map(|(at, printed)| {
        let step = &graph.steps[at];
        (step.title.clone(), step.span, printed)
    });
    Failed { error, step }
}
