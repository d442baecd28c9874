//! `build`: a Dockerfile and a context become an image.
//!
//! The room `build` says what has to be done and in what order; here it is done. A context is read
//! in place, a `COPY` becomes a layer in one pass, a `RUN` runs in a tree whose top is thrown away,
//! and what a step gave is remembered under the name of all that it depended on.

mod agent;
mod assemble;
mod attest;
mod attributes;
mod bases;
mod below;
mod beside;
mod bring;
mod caches;
mod carried;
mod carry;
mod change;
mod chosen;
mod context;
mod copy;
mod depot;
mod explain;
mod export;
mod fetch;
mod files;
mod flights;
mod foreign;
mod fresh;
mod git;
mod hashes;
mod history;
mod imports;
mod layers;
mod layout;
mod moment;
mod mounts;
mod needed;
mod older;
mod output;
mod passing;
mod permissions;
mod place;
mod platform;
mod policy;
mod prune;
mod recorder;
mod request;
mod run;
mod scanner;
mod seal;
mod sent;
mod session;
mod squash;
mod ssh_agent;
mod ssh_key;
mod ssh_wire;
mod stacks;
mod tell;
mod tracks;
mod twice;
mod verify;
mod watch;
mod work;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ::build::error::excerpt;
use ::build::ignore::Ignore;
use spec::{Digest, ImageConfig, Platform};

pub use attest::{Provenance, ProvenanceMode, ProvenanceVersion};
pub use attributes::CacheAttributes;
pub use caches::CacheMount;
pub use carried::{CachePlace, CacheTarget};
pub use chosen::{CacheFilter, WrongCacheFilter};
pub(crate) use context::with_repository;
pub use context::{is_remote_context, is_repository, local_context, repository_token};
pub use depot::{BucketCache, GithubCache};
pub(crate) use fetch::is_repository_source;
pub use history::{BuildOutcome, BuildRecord, BuildStep, StepConfig, StepOutcome, StepState};
pub use moment::BuildMoment;
pub use output::{
    Annotation, AnnotationPlace, ArchiveForm, FilesTarget, Naming, Output, Packing, Push, Types,
};
pub use policy::{KeepCache, PruneCache};
pub use prune::{BuildCache, CacheRow};
pub use request::{
    Blamed, BuildFailure, BuildInput, BuildRequest, BuildWarning, Built, BuiltImage, CacheUse,
    ContextSource, DockerfileSource, Keyring, Sbom,
};
pub use sent::SentFolder;
pub use session::BuildSession;
pub use ssh_agent::KeyAgents;
pub use ssh_key::SshKey;
pub use verify::{Divergence, Verified};
pub use watch::{BuildWatch, News, PlannedLine};

use crate::Engine;
use crate::error::{EngineError, Result};
use crate::sbom::{self, Contents};
use assemble::{Found, Image, Looked};
use attest::Told;
use bases::Bases;
use context::Opened;
use export::Export;
use hashes::Hashes;
use imports::Imports;
use place::{ContextFacts, Place};
use platform::ForPlatform;
use recorder::Recorder;
pub(crate) use request::context_name;
use tell::Teller;
use tracks::Left;

impl Engine {
    /// Builds an image.
    pub fn build(
        &self,
        input: BuildInput<'_>,
        request: &BuildRequest,
        watch: &dyn BuildWatch,
    ) -> Result<Built, Box<BuildFailure>> {
        self.build_session(watch)?.build(input, request)
    }
}

impl BuildSession<'_> {
    /// Builds an image. Several may be built at once; what they have in common is done once.
    pub fn build(
        &self,
        input: BuildInput<'_>,
        request: &BuildRequest,
    ) -> Result<Built, Box<BuildFailure>> {
        self.build_images(input, request).map(|(built, _)| built)
    }

    /// Builds an image, and shows its files: those of the first, where there are several.
    pub fn look<T>(
        &self,
        input: BuildInput<'_>,
        request: &BuildRequest,
        look: impl FnOnce(&OwnedFd) -> T,
    ) -> Result<T, Box<BuildFailure>> {
        let (_, images) = self.build_images(input, request)?;
        let top = images.first().and_then(|image| image.top);
        Ok(look(&layers::view(self.engine.store(), top)?))
    }

    /// The image that a name means to a build, fetched if it is not here: its digest and its
    /// configuration.
    pub fn base(
        &self,
        name: &str,
        platform: Option<&Platform>,
        request: &BuildRequest,
    ) -> Result<(Digest, ImageConfig)> {
        let (session, teller, known) = (self, &self.teller, Mutex::default());
        let bases = Bases { session, request, teller, platform, known };
        let image = bases.image(name, None)?;
        Ok((image.digest, image.config.clone()))
    }

    /// The same, with the images, whose files are here as long as the session.
    fn build_images(
        &self,
        input: BuildInput<'_>,
        request: &BuildRequest,
    ) -> Result<(Built, Vec<Image>), Box<BuildFailure>> {
        let store = self.engine.store();
        let recorder = Recorder::begin(store, self.teller.watch, history::begun(&input, request)?);
        let built = self.build_recorded(input, request, &recorder);
        recorder.end(match &built {
            Ok((built, _)) => Ok(built.images.iter().map(|image| image.id).collect()),
            Err(failure) => Err(failure.error.to_string()),
        });
        // What is in the way now goes another time; the build is what counts.
        let _ = self.engine.collect_cache();
        built
    }

    fn build_recorded(
        &self,
        input: BuildInput<'_>,
        request: &BuildRequest,
        recorder: &Recorder<'_>,
    ) -> Result<(Built, Vec<Image>), Box<BuildFailure>> {
        let teller = self.teller.watched_by(recorder);
        let teller = teller.of(request.called.as_deref().unwrap_or_default());
        let opened = context::open(self, request, input, &teller)?;
        let built = Building { session: self, request, teller: &teller, recorder };
        let built = built.all(&opened);
        if let Some(own) = &opened.place.context {
            own.hashes.keep();
        }
        built.map_err(|failed| {
            if let Some(folder) = &request.output_on_failure {
                failed.take_out(self.engine, folder, &teller);
            }
            failed.told(&opened)
        })
    }
}

/// A build under way.
struct Building<'a> {
    session: &'a BuildSession<'a>,
    request: &'a BuildRequest,
    teller: &'a Teller<'a>,
    recorder: &'a Recorder<'a>,
}

/// An error, with the step that failed.
struct Failed {
    error: EngineError,
    step: Option<(String, ::build::Span, String)>,
    /// What it left, if it was a command.
    left: Option<Box<Left>>,
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Failed {
        Failed { error, step: None, left: None }
    }
}

impl From<EngineError> for Box<BuildFailure> {
    fn from(error: EngineError) -> Box<BuildFailure> {
        Box::new(BuildFailure { error, step: None, excerpt: None, blamed: None })
    }
}

impl Failed {
    /// Writes what the command wrote that failed. That this cannot be done is told, beside the
    /// failure that counts.
    fn take_out(&self, engine: &Engine, folder: &Path, teller: &Teller<'_>) {
        let Some(Left { below, top }) = self.left.as_deref().copied() else {
            teller.warn("[Warning] no command failed that could have left files");
            return;
        };
        let telling = teller.begin("exporting what the failed step wrote");
        // What is wrong is in what is told.
        let _ = telling.end(files::write_changes(engine, below, top, folder));
    }

    fn told(self, opened: &Opened) -> Box<BuildFailure> {
        let span = match (&self.step, &self.error) {
            (Some((_, span, _)), _) => Some(*span).filter(|span| span.first > 0),
            (None, EngineError::Dockerfile(error)) => error.span(),
            (None, _) => None,
        };
        let excerpt = span.map(|span| excerpt(&opened.name, &opened.text, span));
        let step = self.step.map(|(title, _, printed)| (title, printed));
        let blamed = span.map(|span| Blamed {
            file: opened.name.clone(),
            text: opened.text.clone(),
            lines: (span.first, span.last),
        });
        Box::new(BuildFailure { error: self.error, step, excerpt, blamed })
    }
}

impl Building<'_> {
    /// Builds for all platforms at once, and lets out what came of it.
    fn all(&self, opened: &Opened) -> Result<(Built, Vec<Image>), Failed> {
        let Building { session, request, teller, recorder } = *self;
        carry::reach(session, &request.cache_to, teller)?;
        let parsed = || ::build::syntax::parse(&opened.text).map_err(EngineError::from);
        let document = opened.graph.is_none().then(parsed).transpose()?;
        let folders = self.folders()?;
        let (document, folders) = (document.as_ref(), &folders);
        let (host, found) = (Platform::host(), Mutex::default());
        let imports = {
            let platform = request.platforms.first().unwrap_or(&host);
            &Imports::read(session, &request.cache_from, platform, teller)
        };
        let one = |platform, teller: &Teller<'_>| {
            let one = ForPlatform {
                session,
                request,
                opened,
                document,
                folders,
                imports,
                teller,
                recorder,
                found: &found,
                triggers: true,
                platform,
            };
            one.build()
        };
        let mut images = match request.platforms.as_slice() {
            [] => vec![one(None, teller)?],
            [only] => vec![one(Some(only), teller)?],
            several => std::thread::scope(|scope| {
                let begin = |platform| {
                    scope.spawn(move || one(Some(platform), &teller.of(&platform.to_string())))
                };
                let begun: Vec<_> = several.iter().map(begin).collect();
                let end = |one: std::thread::ScopedJoinHandle<'_, _>| {
                    one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                };
                // All come to their end before the first error is told.
                let ended: Vec<Result<Image, Failed>> = begun.into_iter().map(end).collect();
                ended.into_iter().collect::<Result<Vec<_>, _>>()
            })?,
        };
        for image in &mut images {
            if request.squash {
                squash::squash(session, image)?;
            }
            if request.writes_inline() {
                carry::write_inline(session, image)?;
            }
            image.contents = match &request.sbom {
                None => Vec::new(),
                Some(Sbom::BuiltIn) => self.scan(image, &opened.place)?,
                Some(Sbom::Generator(name)) => self.generate(name, image, &opened.place)?,
            };
        }
        if let Some(called) = &request.called {
            session.give(called, &images);
        }
        let (engine, lease) = (session.engine, &session.lease);
        let reference = recorder.record().id;
        let told = request.provenance.as_ref().map(|how| Told::of(opened, request, how));
        let told = told.as_ref();
        // Whoever asks for metadata hears all of it anyway: that is no part of any image.
        let most = Provenance { mode: ProvenanceMode::Max, ..Provenance::default() };
        let usual = Told::of(opened, request, &most);
        let export = Export { engine, lease, images: &images, told, teller, reference };
        let mut built = export.all(&request.outputs)?;
        let told = told.unwrap_or(&usual);
        built.provenance = images.iter().map(|own| attest::predicate(own, told)).collect();
        built.warnings = found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        carry::carry(session, &images, &request.cache_to, teller)?;
        Ok((built, images))
    }

    /// Looks for what is installed in an image, and in what else its Dockerfile wants looked through.
    fn scan(&self, image: &Image, context: &Arc<Place>) -> Result<Vec<Looked>> {
        let engine = self.session.engine;
        let look = |part: Option<String>, scan: &dyn Fn() -> Result<Contents>| {
            let what = part.as_ref().map(|part| format!(" of {part}")).unwrap_or_default();
            let telling =
                self.teller.begin(&format!("[{}] generating sbom{what}", image.platform()));
            let scanned = scan();
            if let Ok(contents) = &scanned {
                telling.note(&format!("{} packages", contents.packages.len()));
                contents.notes.iter().for_each(|note| telling.note(note));
            }
            telling.end(scanned).map(|contents| Looked { part, contents: Found::Here(contents) })
        };
        let mut looked = vec![look(None, &|| engine.scan(image.top))?];
        if image.scans.context {
            looked.push(look(Some("context".to_owned()), &|| scan_context(context))?);
        }
        for (stage, top) in &image.scans.stages {
            looked.push(look(Some(format!("stage-{stage}")), &|| engine.scan(*top))?);
        }
        Ok(looked)
    }

    /// Named contexts that are files: folders, repositories, tars of the web.
    fn folders(&self) -> Result<HashMap<String, Arc<Place>>> {
        let mut folders = HashMap::new();
        for (name, path) in &self.request.folders {
            let place = self.folder(name, path, |_| Ok(Ignore::default()))?;
            folders.insert(context_name(name), place);
        }
        for (name, value) in &self.request.contexts {
            let path = Path::new(value);
            if is_remote_context(value) {
                let place = context::remote(self.session, self.request, value)?;
                folders.insert(context_name(name), place);
                continue;
            }
            if value.contains("://") || value.starts_with("target:") {
                continue;
            }
            if !path.is_dir() {
                let words = format!("failed to get build context {name}: {value:?} is no folder");
                return Err(EngineError::Input(words));
            }
            let path = path.canonicalize().map_err(EngineError::io("find", path))?;
            let place = self.folder(name, &path, |root| {
                // Of a stranger's folder, perhaps: no link is followed out of it, no pipe waited for.
                let said = sys::fs::file_in_root(root, ".dockerignore");
                Ok(Ignore::parse(&said.and_then(std::io::read_to_string).unwrap_or_default())?)
            })?;
            folders.insert(context_name(name), place);
        }
        Ok(folders)
    }

    /// A folder of the host that files are taken from.
    fn folder(
        &self,
        name: &str,
        path: &Path,
        ignore: impl FnOnce(&OwnedFd) -> Result<Ignore>,
    ) -> Result<Arc<Place>> {
        let root = sys::fs::open_folder(path).map_err(EngineError::io("open", path))?;
        let kept = self.session.engine.store().build_folder().join("contexts");
        let (ignore, hashes) = (ignore(&root)?, Hashes::read(&kept, path));
        let context = Some(ContextFacts { ignore, hashes, time: None });
        Ok(Arc::new(Place { root, name: name.to_owned(), context }))
    }
}

/// Looks for what is installed in the files of a context.
fn scan_context(context: &Arc<Place>) -> Result<Contents> {
    let all = context.choose("/", &Ignore::default())?;
    let files = all.iter().flat_map(|chosen| chosen.items().iter().map(move |item| (chosen, item)));
    let files = files.filter(|(_, item)| item.stat.bytes > 0);
    let files = files.map(|(chosen, item)| ([b"/", chosen.inner(item)].concat(), item.stat.mode));
    Ok(sbom::scan_folder(&context.root, files))
}
