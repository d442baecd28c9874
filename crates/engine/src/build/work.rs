//! How each step of a build is done: what it depends on, what it gave before, and what it gives.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use ::build::config::{self, Around, Configured};
use ::build::graph::{Graph, Op, Step, StepId};
use ::build::instruction::Kind;
use ::build::key::{About, Key, Listing};
use ::build::solver::{Inputs, Work};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use spec::{ChainId, Digest, History, Platform, Timestamp};
use store::{Lease, StepLayer, StepRecord, Store, Unpacked};

use super::assemble;
use super::attest::Used;
use super::bases::{BaseImage, Bases};
use super::bring::{Copied, copy_history, target_of};
use super::copy::Gathered;
use super::explain::Earlier;
use super::flights::{Flights, Turn};
use super::history::StepOutcome;
use super::imports::Imports;
use super::layers;
use super::place::Place;
use super::request::{BuildRequest, CacheUse, context_name};
use super::session::BuildSession;
use super::tell::{Teller, Telling};
use super::tracks::Tracks;
use crate::Engine;
use crate::container::StepNetwork;
use crate::error::{EngineError, Result};

/// What a step gave.
#[derive(Clone)]
pub(super) struct Made {
    /// The stack after it.
    pub(super) top: Option<ChainId>,
    /// The configuration after it.
    pub(super) configured: Arc<Configured>,
    /// The layer it made.
    pub(super) layer: Option<StepLayer>,
    /// What the history tells of it.
    pub(super) row: Option<Arc<History>>,
    /// The image it begins with, if it does.
    pub(super) base: Option<Arc<BaseImage>>,
    /// What a command has written to mounts whose contents are results.
    pub(super) written: Arc<[Option<ChainId>]>,
    /// A folder of the host that it stands for.
    pub(super) folder: Option<Arc<Place>>,
    /// No time in what stands on it is later.
    pub(super) epoch: i64,
    /// What its programs run on.
    pub(super) platform: Arc<Platform>,
}

/// What a step depends on, and what was looked up to know it.
pub(super) struct Wanted {
    pub(super) key: Key,
    pub(super) digest: Digest,
    pub(super) gathered: Gathered,
    pub(super) listing: Option<Listing>,
    /// The layer, if it was made while that was looked up, and when that began.
    pub(super) written: Option<(Unpacked, Instant)>,
}

/// The stack after a step, and the layer it made, if it made one.
pub(super) type Layered = (Option<ChainId>, Option<StepLayer>);

/// What a record remembers besides what the store needs.
#[derive(Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) key: Key,
    /// How long it took, in nanoseconds.
    pub(super) took: u64,
}

/// After so many steps only the images of those are told that do something.
const MANY_STEPS: usize = 300;

/// One build at work.
pub(super) struct Builder<'a> {
    pub(super) session: &'a BuildSession<'a>,
    pub(super) engine: &'a Engine,
    pub(super) lease: &'a Lease,
    pub(super) request: &'a BuildRequest,
    /// No time in the image is later, if somebody said so.
    pub(super) epoch: Option<i64>,
    pub(super) graph: &'a Graph,
    pub(super) bases: &'a Bases<'a>,
    pub(super) context: Arc<Place>,
    pub(super) folders: &'a HashMap<String, Arc<Place>>,
    /// The names of stages, by their numbers.
    pub(super) stages: Vec<Option<String>>,
    pub(super) escape: char,
    pub(super) teller: &'a Teller<'a>,
    /// What the builds of a session do for each other.
    pub(super) flights: &'a Flights,
    /// What was used from elsewhere.
    pub(super) used: Mutex<BTreeSet<Used>>,
    /// What others did.
    pub(super) imports: &'a Imports,
    /// The keys of steps, as far as they are known.
    pub(super) keys: Mutex<BTreeMap<StepId, Digest>>,
    /// What the result runs on.
    pub(super) platform: &'a Platform,
    /// Trees that are mounted, by what is on top of them.
    pub(super) views: Mutex<HashMap<Option<ChainId>, Arc<OwnedFd>>>,
    /// Networks that steps run in, by what they asked for.
    pub(super) network: Mutex<HashMap<Vec<String>, Arc<StepNetwork>>>,
    /// The step that failed, and what it printed.
    pub(super) failed: Mutex<Option<(StepId, String)>>,
    /// What commands have written to mounts whose contents are results.
    pub(super) written: Mutex<HashMap<StepId, Arc<[Option<ChainId>]>>>,
    /// What steps gave, where somebody wants to know the image of each.
    pub(super) made: Mutex<Vec<Option<Made>>>,
    /// What became of each step.
    pub(super) tracks: Tracks,
    /// The build before this one, to compare with.
    pub(super) earlier: Earlier,
}

impl Work for Builder<'_> {
    type Made = Made;
    type Key = Wanted;
    type Error = EngineError;

    fn key(&self, at: StepId, inputs: &Inputs<Made>) -> Result<Option<Wanted>> {
        if self.teller.watch.is_stopped() {
            return Err(EngineError::Stopped);
        }
        let step = &self.graph.steps[at];
        let mut wanted = Wanted {
            key: Key::default(),
            digest: Digest::of(b""),
            gathered: Gathered::default(),
            listing: None,
            written: None,
        };
        let keyed = match &step.op {
            Op::Scratch
            | Op::Base { .. }
            | Op::Config { .. }
            | Op::Settings(_)
            | Op::Merge
            | Op::Written(_) => return Ok(None),
            Op::Change(change) => Ok(Some(self.change_key(change, inputs))),
            Op::Diff => Ok(Some(self.diff_key(inputs))),
            Op::Workdir(path) => Ok(self.workdir_key(path, parent(inputs))),
            Op::Run { run, scope } => self.run_key(step, run, scope, inputs, &mut wanted),
            Op::Copy { flags, sources, target, is_add } => {
                let copied = Copied { flags, sources, target, is_add: *is_add };
                self.copy_key(copied, inputs, &mut wanted)
            }
        };
        let keyed = keyed.map_err(|error| self.fail(at, String::new(), error))?;
        let Some(mut key) = keyed else { return Ok(None) };
        key = key.with(About::Setting, "epoch", parent(inputs).epoch.to_string());
        wanted.digest = key.digest();
        wanted.key = key;
        self.tracks.change(at, |track| track.key = Some(wanted.digest));
        let mut keys = self.keys.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        keys.insert(at, wanted.digest);
        Ok(Some(wanted))
    }

    fn recall(&self, at: StepId, wanted: &Wanted, inputs: &Inputs<Made>) -> Result<Option<Made>> {
        let step = &self.graph.steps[at];
        if !self.may_recall(at, step) {
            return Ok(None);
        }
        // Before it is told that the step is remembered: without all that it wrote, it is not.
        let Some(written) = self.recall_written(at, &wanted.digest)? else { return Ok(None) };
        let below = parent(inputs);
        let again = match self.store().recall_step(&wanted.digest)? {
            Some(record) => self.again(at, below, record.layer)?,
            None => None,
        };
        let made = match again {
            Some(made) => Some(made),
            None => self.import(at, &wanted.digest, below)?,
        };
        let made = made.map(|made| Made { written, ..made });
        Ok(made.inspect(|made| self.note_state(at, made)))
    }

    fn carry_out(&self, at: StepId, wanted: Option<Wanted>, inputs: &Inputs<Made>) -> Result<Made> {
        let step = &self.graph.steps[at];
        let made = match &step.op {
            Op::Scratch => Ok(self.scratch()),
            Op::Base { image, platform } => self.base(at, image, platform.as_deref()),
            Op::Config { .. } | Op::Settings(_) => self
                .configure(step, parent(inputs))
                .map_err(|error| self.fail(at, String::new(), error)),
            Op::Merge => self.merge(at, inputs),
            Op::Written(number) => Ok(self.take_written(parent(inputs), *number)),
            _ => self.do_work(at, wanted, inputs),
        };
        made.inspect(|made| self.note_state(at, made))
    }
}

/// What a step stands on; only bases stand on nothing.
pub(super) fn parent(inputs: &Inputs<Made>) -> &Made {
    inputs.parent.as_ref().expect("a step that changes something has a parent")
}

impl Builder<'_> {
    pub(super) fn store(&self) -> &Store {
        self.engine.store()
    }

    /// Notes which step failed, for the first that does.
    pub(super) fn fail(&self, at: StepId, printed: String, error: EngineError) -> EngineError {
        let mut failed = self.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        failed.get_or_insert((at, printed));
        error
    }

    /// Notes what was there after a step, for who wants to look into it later.
    fn note_state(&self, at: StepId, made: &Made) {
        if made.folder.is_none() {
            let state = (made.top, made.configured.clone());
            self.tracks.change(at, |track| track.state = Some(state));
        }
        if self.teller.watch.wants_images() && self.graph.steps[at].stage.is_some() {
            self.tell_image(at, made);
        }
    }

    /// Tells which image an instruction makes.
    fn tell_image(&self, at: StepId, made: &Made) {
        let path = assemble::path(self.graph, at);
        let way: Option<Vec<Made>> = {
            let mut all = self.made.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            all[at] = Some(made.clone());
            // Each image's document has a line for each step before, so thousands cost too much.
            let works = !matches!(self.graph.steps[at].op, Op::Config { .. } | Op::Settings(_));
            if path.len() > MANY_STEPS && !works {
                return;
            }
            path.iter().map(|step| all[*step].clone()).collect()
        };
        let image =
            way.and_then(|way| assemble::id_after(&way.iter().collect::<Vec<_>>(), self.platform));
        self.teller.watch.reached(self.graph.steps[at].span.first, image.as_ref());
    }

    /// A step begins.
    pub(super) fn begin(&self, at: StepId) -> Telling<'_> {
        let telling = self.teller.begin(&self.graph.steps[at].title);
        self.tracks.change(at, |track| track.number = Some(telling.number));
        telling
    }

    /// A step has ended.
    pub(super) fn end<T>(&self, at: StepId, telling: Telling<'_>, outcome: Result<T>) -> Result<T> {
        self.tracks.change(at, |track| {
            track.took = telling.since.elapsed();
            track.outcome = match &outcome {
                Ok(_) => StepOutcome::Done,
                Err(_) => StepOutcome::Failed,
            };
        });
        telling.end(outcome).map_err(|error| self.fail(at, String::new(), error))
    }

    pub(super) fn may_recall(&self, at: StepId, step: &Step) -> bool {
        if self.graph.anew.contains(&at) {
            return false;
        }
        match &self.request.cache {
            CacheUse::All => true,
            CacheUse::None => false,
            CacheUse::But(stages) => !self.is_of(step, stages),
        }
    }

    /// Whether a step belongs to one of these stages, by name or number.
    pub(super) fn is_of(&self, step: &Step, stages: &[String]) -> bool {
        let Some(stage) = step.stage else { return false };
        let name = self.stages.get(stage).cloned().flatten();
        stages.iter().any(|wanted| {
            wanted.parse() == Ok(stage) || name.as_deref() == Some(&wanted.to_lowercase())
        })
    }

    /// What a step gives that made this layer before, if that is still here.
    fn again(&self, at: StepId, below: &Made, layer: Option<StepLayer>) -> Result<Option<Made>> {
        let top = match layer {
            Some(layer) => layers::move_to(self.store(), self.lease, layer, below.top)?,
            None => below.top,
        };
        if layer.is_some() && top.is_none() {
            return Ok(None);
        }
        let made = self.after(&self.graph.steps[at], below, top, layer)?;
        self.begin(at).cached();
        self.tracks.change(at, |track| track.outcome = StepOutcome::Cached);
        Ok(Some(made))
    }

    /// What a step gave that somebody else did. It is remembered here from then on.
    fn import(&self, at: StepId, key: &Digest, below: &Made) -> Result<Option<Made>> {
        let Some(known) = self.imports.find(key) else { return Ok(None) };
        let made = match self.again(at, below, known.layer)? {
            Some(made) => made,
            None => {
                let telling = self.begin(at);
                let fetched = self.imports.fetch(self.session, known);
                // What cannot be fetched is done here.
                let Ok(Some(unpacked)) = fetched else {
                    telling.note("its layer could not be fetched");
                    return Ok(None);
                };
                let adopted = layers::adopt(self.store(), self.lease, unpacked, below.top);
                let (top, layer) = match adopted {
                    Ok(adopted) => {
                        telling.cached();
                        adopted
                    }
                    failed => self.end(at, telling, failed)?,
                };
                self.tracks.change(at, |track| track.outcome = StepOutcome::Cached);
                self.after(&self.graph.steps[at], below, Some(top), Some(layer))?
            }
        };
        let record = StepRecord {
            top: made.top,
            layer: known.layer,
            text: known.text.clone(),
            made: Timestamp::now().unix_seconds(),
            rest: known.rest.clone(),
        };
        self.store().remember_step(key, &record)?;
        Ok(Some(made))
    }

    fn scratch(&self) -> Made {
        let platform = Arc::new(self.platform.clone());
        let epoch = self.epoch.unwrap_or_default();
        let (top, layer, row, base, folder, written) = Default::default();
        let configured = Arc::new(Configured::scratch());
        Made { top, configured, layer, row, base, folder, written, epoch, platform }
    }

    fn base(&self, at: StepId, image: &str, platform: Option<&str>) -> Result<Made> {
        if let Some(folder) = self.folders.get(&context_name(image)) {
            return Ok(Made { folder: Some(folder.clone()), ..self.scratch() });
        }
        let telling = self.begin(at);
        let found = self.end(at, telling, self.bases.image(image, platform))?;
        // What a base is called among files: that is what steps on it depend on.
        let key = found.top.map(|top| top.0);
        self.tracks.change(at, |track| track.key = key);
        if let Some(uri) = &found.uri {
            self.note_use(Used::new(uri.clone(), found.digest));
        }
        let config = found.config.config.clone().unwrap_or_default();
        let created = found.config.created.filter(|time| !time.is_zero());
        let created = created.map_or(0, |time| time.unix_seconds().max(0));
        Ok(Made {
            top: found.top,
            configured: Arc::new(Configured::from_image(config)),
            platform: Arc::new(found.config.platform()),
            base: Some(found),
            epoch: self.epoch.unwrap_or(created),
            ..self.scratch()
        })
    }

    /// Notes what was used, for who asks how the image was built.
    pub(super) fn note_use(&self, used: Used) {
        self.used.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(used);
    }

    /// A step that changes the configuration alone.
    fn configure(&self, step: &Step, below: &Made) -> Result<Made> {
        if let Op::Settings(config) = &step.op {
            let configured = Configured::new((**config).clone());
            let (layer, row, base, written) = Default::default();
            let configured = Arc::new(configured);
            return Ok(Made { configured, layer, row, base, written, ..below.clone() });
        }
        let Op::Config { kind, scope } = &step.op else {
            return self.after(step, below, below.top, None);
        };
        let mut configured = (*self.inherited(step, below)).clone();
        let around = Around { scope, at: step.span, escape: self.escape };
        let told = configured.apply(kind, around)?;
        let mut row = history(told, below.epoch, true);
        if let Kind::Maintainer(author) = kind {
            row.author.clone_from(author);
        }
        let (configured, row) = (Arc::new(configured), Some(Arc::new(row)));
        let written = Arc::default();
        Ok(Made { configured, layer: None, row, base: None, written, ..below.clone() })
    }

    /// The configuration that a step finds, perhaps handed down by another stage.
    fn inherited(&self, step: &Step, below: &Made) -> Arc<Configured> {
        match step.parent.is_some_and(|parent| self.graph.steps[parent].stage == step.stage) {
            true => below.configured.clone(),
            false => Arc::new((*below.configured).clone().handed_down()),
        }
    }

    /// What a step gives that made this layer, or none.
    fn after(
        &self,
        step: &Step,
        below: &Made,
        top: Option<ChainId>,
        layer: Option<StepLayer>,
    ) -> Result<Made> {
        let mut configured = self.inherited(step, below);
        let told = match &step.op {
            Op::Workdir(path) => Arc::make_mut(&mut configured).enter(path),
            Op::Run { run, scope } => {
                let started = config::started(below.configured.shell(), run);
                config::run_history(&started.words, scope)
            }
            Op::Copy { flags, sources, target, is_add } => {
                copy_history(flags, sources, target, *is_add)
            }
            Op::Change(_) | Op::Diff => step.text.clone(),
            Op::Scratch
            | Op::Base { .. }
            | Op::Config { .. }
            | Op::Settings(_)
            | Op::Merge
            | Op::Written(_) => String::new(),
        };
        let row = Some(Arc::new(history(told, below.epoch, layer.is_none())));
        let written = Arc::default();
        Ok(Made { top, configured, layer, row, base: None, written, ..below.clone() })
    }

    /// Does what makes a layer, and remembers it.
    fn do_work(&self, at: StepId, wanted: Option<Wanted>, inputs: &Inputs<Made>) -> Result<Made> {
        let step = &self.graph.steps[at];
        let below = parent(inputs);
        let Some(wanted) = wanted else {
            return self.after(step, below, below.top, None);
        };
        let flight = match self.flights.take(wanted.digest) {
            Turn::Ours(flight) => Some(flight),
            Turn::Done(layer) => {
                if let Some(written) = self.recall_written(at, &wanted.digest)?
                    && let Some(made) = self.again(at, below, layer)?
                {
                    return Ok(Made { written, ..made });
                }
                None
            }
        };
        let mut telling = self.begin(at);
        let Wanted { key, digest, gathered, listing, written } = wanted;
        if let Some((_, since)) = &written {
            telling.since = *since;
        }
        let since = telling.since;
        let done = self.explain(at, &key, listing.as_ref(), &telling).and_then(|()| {
            let layer = match written {
                Some((unpacked, _)) => self.adopt(unpacked, below.top)?,
                None => self.make_layer(at, gathered, inputs, &telling)?,
            };
            let took = since.elapsed().as_nanos() as u64;
            self.remember(step, (digest, key, took), listing, layer)?;
            Ok(layer)
        });
        let done = self.end(at, telling, done)?;
        if let Some(flight) = flight {
            flight.land(done.1);
        }
        let made = self.after(step, below, done.0, done.1)?;
        Ok(Made { written: self.written_by(at), ..made })
    }

    fn make_layer(
        &self,
        at: StepId,
        gathered: Gathered,
        inputs: &Inputs<Made>,
        telling: &Telling<'_>,
    ) -> Result<Layered> {
        let below = parent(inputs);
        match &self.graph.steps[at].op {
            Op::Run { run, scope } => self.run(at, run, scope, inputs, telling),
            Op::Workdir(path) => self.make_folder(path, below),
            Op::Copy { flags, sources, target, is_add } => {
                let copied = Copied { flags, sources, target, is_add: *is_add };
                let from = inputs.sources.first().filter(|made| made.folder.is_none());
                let mut gathered = match (&flags.from, from) {
                    (Some(name), Some(made)) => {
                        self.gather(copied, &self.place_of(made, name)?, None)?
                    }
                    _ => gathered,
                };
                self.bring_unchanged(&mut gathered)?;
                let target = target_of(below.configured.working_dir(), target);
                let older = self.older(at, &gathered);
                self.copy_layer((gathered, older), flags, &target, inputs)
            }
            Op::Change(change) => self.change(change, inputs),
            Op::Diff => self.diff(inputs),
            Op::Scratch
            | Op::Base { .. }
            | Op::Config { .. }
            | Op::Settings(_)
            | Op::Merge
            | Op::Written(_) => {
                unreachable!("these steps have no key, so they are no work")
            }
        }
    }

    fn remember(
        &self,
        step: &Step,
        (digest, key, took): (Digest, Key, u64),
        listing: Option<Listing>,
        (top, layer): Layered,
    ) -> Result<()> {
        if let Some(listing) = listing {
            super::explain::keep_listing(self.store(), &listing);
        }
        let rest = serde_json::to_string(&Remembered { key, took });
        let rest = rest.ok().and_then(|text| RawValue::from_string(text).ok());
        let Some(rest) = rest else { return Ok(()) };
        let record = StepRecord {
            top,
            layer,
            text: step.text.clone(),
            made: Timestamp::now().unix_seconds(),
            rest,
        };
        Ok(self.store().remember_step(&digest, &record)?)
    }

    /// A tree, mounted for reading.
    pub(super) fn view(&self, top: Option<ChainId>) -> Result<Arc<OwnedFd>> {
        let mut views = self.views();
        if let Some(view) = views.get(&top) {
            return Ok(view.clone());
        }
        let view = Arc::new(layers::view(self.store(), top)?);
        views.insert(top, view.clone());
        Ok(view)
    }

    fn views(&self) -> MutexGuard<'_, HashMap<Option<ChainId>, Arc<OwnedFd>>> {
        self.views.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The files of a step, or of the folder that it stands for.
    pub(super) fn place_of(&self, made: &Made, name: &str) -> Result<Arc<Place>> {
        if let Some(folder) = &made.folder {
            return Ok(folder.clone());
        }
        let view = self.view(made.top)?;
        let root = view.try_clone().map_err(EngineError::io("open", "a stage's files"))?;
        Ok(Arc::new(Place { root, name: name.to_owned(), context: None }))
    }
}

/// A stack, for a key.
pub(super) fn shown(top: Option<ChainId>) -> String {
    top.map(|top| top.to_string()).unwrap_or_default()
}

fn history(told: String, epoch: i64, empty_layer: bool) -> History {
    History {
        created: Some(Timestamp::from_unix(epoch, 0)),
        created_by: told,
        comment: config::HISTORY_COMMENT.to_owned(),
        empty_layer,
        ..History::default()
    }
}
