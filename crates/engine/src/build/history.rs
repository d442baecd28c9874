//! Builds that were: what each was asked, what became of its steps, and all that was told of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::build::align::Recognised;
use image::folder::Marks;
use image::pack::LayerWriter;
use serde::{Deserialize, Serialize};
use spec::{ChainId, Digest, ImageId, Platform, Reference, Timestamp};
use store::Store;

use super::context::USUAL;
use super::output::Output;
use super::recorder;
use super::request::{BuildInput, BuildRequest, ContextSource, DockerfileSource};
use super::watch::BuildWatch;
use crate::Engine;
use crate::error::{EngineError, Result};

/// So many builds are remembered; the oldest goes when another ends.
const KEPT_BUILDS: usize = 50;
/// No document about a build is longer.
const RECORD_BYTES: u64 = 64 << 20;
const RECORD_FILE: &str = "build.json";
/// Where files come from that a client holds.
const SENT: &str = "sent by a client";

/// A build that was, or is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildRecord {
    /// What it is called among all: sorted by it, the oldest comes first.
    pub id: String,
    /// The folder of its context, the Dockerfile if it has another name, and the target.
    pub name: String,
    /// Where its files came from; `-` is standard input.
    pub context: String,
    /// Where its Dockerfile was.
    pub dockerfile: String,
    /// `--target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What it was built for, if that was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// `--build-arg`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, String>,
    /// The names that its image was to get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When it began.
    pub created: Timestamp,
    /// How long it took, in nanoseconds.
    pub took: u64,
    /// How it ended.
    pub outcome: BuildOutcome,
    /// What it consisted of.
    #[serde(default)]
    pub steps: Vec<BuildStep>,
}

/// How a build ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BuildOutcome {
    /// It has not.
    Running,
    /// With these images, one for each platform.
    Completed {
        /// The images.
        images: Vec<ImageId>,
    },
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
    /// Whoever did it was ended.
    Killed,
}

/// A step of a build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildStep {
    /// What it was done for.
    pub platform: String,
    /// The number of its stage; none for an image that is only copied from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<usize>,
    /// Its stage's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage_name: Option<String>,
    /// The instruction as it is written, or the image that a stage begins with.
    pub text: String,
    /// What it was called while it was done.
    pub title: String,
    /// The step that it changes, among these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// Steps that it reads besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<usize>,
    /// Its number in what was told, if it came to its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<usize>,
    /// The name under which its outcome is remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// The variables that its words were expanded with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub used: BTreeMap<String, String>,
    /// The digests of its documents as they are written, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<String, Digest>,
    /// What became of it.
    pub outcome: StepOutcome,
    /// How long it took, in nanoseconds.
    pub took: u64,
    /// What was there after it, if it came to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StepState>,
}

/// What a step left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepState {
    /// The files; none are an empty tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<ChainId>,
    /// How programs run there, where that is not as the step before left it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<StepConfig>,
}

/// How programs run after a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepConfig {
    /// All variables, where they do not come from those of the step before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// Variables that were set, where they do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
    /// Whose programs they are.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Where they begin.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// `SHELL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepOutcome {
    /// It was never its turn, or there was nothing to do.
    #[default]
    Untold,
    /// It was remembered.
    Cached,
    /// It was done.
    Done,
    /// It failed.
    Failed,
}

impl BuildRecord {
    /// How many steps were done or remembered.
    pub fn completed_steps(&self) -> usize {
        let ended =
            |step: &&BuildStep| matches!(step.outcome, StepOutcome::Done | StepOutcome::Cached);
        self.steps.iter().filter(ended).count()
    }

    /// How many steps were remembered.
    pub fn cached_steps(&self) -> usize {
        self.steps.iter().filter(|step| step.outcome == StepOutcome::Cached).count()
    }

    /// The steps that the build could not have been faster than: each needed the one before it.
    pub fn critical_path(&self) -> Vec<usize> {
        let mut ends: Vec<(u64, Option<usize>)> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let needs = step.parent.iter().chain(&step.sources).filter(|at| **at < ends.len());
            let last = needs.copied().max_by_key(|at| ends[*at].0);
            ends.push((step.took + last.map_or(0, |at| ends[at].0), last));
        }
        let mut next = (0..ends.len()).max_by_key(|at| ends[*at].0);
        let mut path = Vec::new();
        while let Some(at) = next {
            path.push(at);
            next = ends[at].1;
        }
        path.reverse();
        path.retain(|at| self.steps[*at].took > 0);
        path
    }

    /// Adds steps for a platform, each of which knows the others by their places among them.
    pub(super) fn add(&mut self, steps: Vec<BuildStep>) {
        let first = self.steps.len();
        for mut step in steps {
            step.parent = step.parent.map(|at| at + first);
            step.sources.iter_mut().for_each(|at| *at += first);
            self.steps.push(step);
        }
    }

    /// Only its steps for a platform.
    fn of(mut self, platform: &Platform) -> BuildRecord {
        let platform = platform.to_string();
        let is_of = |step: &BuildStep| step.platform == platform;
        let first = self.steps.iter().position(is_of).unwrap_or_default();
        self.steps.retain(is_of);
        for step in &mut self.steps {
            step.parent = step.parent.map(|at| at - first);
            step.sources.iter_mut().for_each(|at| *at -= first);
        }
        self
    }

    /// Its steps, so that those of another build can be found among them.
    pub(super) fn recognised(&self) -> Vec<Recognised<'_>> {
        let mut list = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let stage = step.stage.unwrap_or(usize::MAX);
            list.push(Recognised { stage, name: step.stage_name.as_deref(), text: &step.text });
        }
        list
    }

    /// Whether another build had the same Dockerfile and context.
    pub(super) fn is_of_the_same(&self, other: &BuildRecord) -> bool {
        let same = self.context == other.context && self.dockerfile == other.dockerfile;
        // What came in by standard input has no name but the one that its image got.
        same && (self.context != "-" || self.tags == other.tags)
    }
}

/// The folder of a build.
pub(super) fn folder(store: &Store, id: &str) -> PathBuf {
    store.build_folder().join("history").join(id)
}

/// Writes a record. Nothing is lost with it that could not be built again, so it is not synced.
pub(super) fn write(store: &Store, record: &BuildRecord) -> io::Result<()> {
    let folder = folder(store, &record.id);
    let aside = folder.join("build.json.new");
    fs::write(&aside, serde_json::to_vec(record)?)?;
    fs::rename(aside, folder.join(RECORD_FILE))
}

/// The names of all builds, the newest first.
fn names(store: &Store) -> Vec<String> {
    let list = fs::read_dir(store.build_folder().join("history")).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        list.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    names
}

/// A build, if it can be read.
fn read(store: &Store, id: &str) -> Option<BuildRecord> {
    let folder = folder(store, id);
    let mut bytes = Vec::new();
    let file = File::open(folder.join(RECORD_FILE)).ok()?;
    file.take(RECORD_BYTES).read_to_end(&mut bytes).ok()?;
    let mut record: BuildRecord = serde_json::from_slice(&bytes).ok()?;
    if record.outcome == BuildOutcome::Running && !recorder::is_at_work(&folder) {
        record.outcome = BuildOutcome::Killed;
    }
    Some(record)
}

/// Earlier builds of the same Dockerfile and context that came as far as to have steps, the newest
/// first.
pub(super) fn before(
    store: &Store,
    now: &BuildRecord,
    platform: &Platform,
) -> impl Iterator<Item = BuildRecord> {
    let earlier = names(store).into_iter().filter(|id| *id < now.id);
    earlier
        .filter_map(|id| read(store, &id))
        .filter(|record| record.is_of_the_same(now))
        .map(|record| record.of(platform))
        .filter(|record| !record.steps.is_empty())
}

/// Lets go of builds beyond the number that is kept, but of none at work.
pub(super) fn forget_old(store: &Store) {
    for id in names(store).into_iter().skip(KEPT_BUILDS) {
        let folder = folder(store, &id);
        if !recorder::is_at_work(&folder) {
            // It goes another time.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

impl Engine {
    /// The builds that are remembered, the newest first.
    pub fn builds(&self) -> Vec<BuildRecord> {
        names(self.store()).iter().filter_map(|id| read(self.store(), id)).collect()
    }

    /// A build by the beginning of its id, or by how many came after it: `^0` is the last.
    pub fn find_build(&self, text: &str) -> Result<BuildRecord> {
        let none = || EngineError::NoSuchBuild(text.to_owned());
        let all = names(self.store());
        let id = match text.strip_prefix('^') {
            Some(back) => back.parse().ok().and_then(|back: usize| all.get(back)),
            None if text.is_empty() => all.first(),
            None => {
                let mut matching = all.iter().filter(|id| id.starts_with(text));
                let first = matching.next();
                match matching.next().filter(|_| !all.iter().any(|id| id == text)) {
                    Some(_) => return Err(EngineError::AmbiguousBuild(text.to_owned())),
                    None => all.iter().find(|id| *id == text).or(first),
                }
            }
        };
        id.and_then(|id| read(self.store(), id)).ok_or_else(none)
    }

    /// Tells again what was told of a build.
    pub fn replay_build(&self, record: &BuildRecord, watch: &dyn BuildWatch) -> Result<()> {
        let path = folder(self.store(), &record.id).join(recorder::NEWS_FILE);
        recorder::replay(&path, watch).map_err(EngineError::io("read", &path))
    }

    /// Writes a build's record and what was told of it as a tar.
    pub fn export_build(&self, record: &BuildRecord, out: &mut dyn Write) -> Result<()> {
        let path = folder(self.store(), &record.id);
        let folder = sys::fs::open_folder(&path).map_err(EngineError::io("open", &path))?;
        let mut writer = LayerWriter::new(out, Marks::Trusted, None).one_mount();
        writer.add_folder(&folder, false).map_err(EngineError::Write)?;
        writer.finish().map_err(EngineError::Write)?;
        Ok(())
    }

    /// Forgets a build.
    pub fn forget_build(&self, record: &BuildRecord) -> Result<()> {
        if record.outcome == BuildOutcome::Running {
            let words = format!("build {} is running: end it first", record.id);
            return Err(EngineError::Refused(words));
        }
        let folder = folder(self.store(), &record.id);
        fs::remove_dir_all(&folder).map_err(EngineError::io("remove", &folder))
    }
}

/// Where a build's files and its Dockerfile come from, as records tell it.
pub(super) fn place_of(input: &BuildInput<'_>) -> (String, String) {
    let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let context = match &input.context {
        ContextSource::Folder(folder) => text(absolute(folder)),
        ContextSource::Reader(_) => "-".to_owned(),
        ContextSource::Sent { .. } => SENT.to_owned(),
        ContextSource::Url(url) => url.clone(),
        ContextSource::Nowhere => String::new(),
    };
    let dockerfile = match &input.dockerfile {
        DockerfileSource::Usual => USUAL.to_owned(),
        DockerfileSource::Path(path) => text(absolute(path)),
        DockerfileSource::Reader(_) => "-".to_owned(),
        DockerfileSource::Graph(_) => String::new(),
    };
    (context, dockerfile)
}

/// What is known of a build before it begins.
pub(super) fn begun(input: &BuildInput<'_>, request: &BuildRequest) -> Result<BuildRecord> {
    let (context, dockerfile) = place_of(input);
    let mut name = match &input.context {
        ContextSource::Folder(_) => Path::new(&context)
            .file_name()
            .map_or_else(|| context.clone(), |name| name.to_string_lossy().into_owned()),
        ContextSource::Sent { .. } => "client".to_owned(),
        ContextSource::Nowhere => "graph".to_owned(),
        _ => context.clone(),
    };
    if let DockerfileSource::Path(path) = &input.dockerfile {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if file != USUAL {
            name = format!("{name}/{file}");
        }
    }
    if let Some(target) = &request.target {
        name = format!("{name} ({target})");
    }
    let created = Timestamp::now();
    Ok(BuildRecord {
        id: invent_id(created).map_err(EngineError::io("read", "/dev/urandom"))?,
        name,
        context,
        dockerfile,
        target: request.target.clone(),
        platforms: request.platforms.iter().map(Platform::to_string).collect(),
        arguments: request.arguments.clone(),
        tags: request.outputs.iter().flat_map(Output::names).map(Reference::to_string).collect(),
        created,
        took: 0,
        outcome: BuildOutcome::Running,
        steps: Vec::new(),
    })
}

/// A build's name among all, by its time and by chance.
pub(super) fn invent_id(created: Timestamp) -> io::Result<String> {
    let random = u128::from_le_bytes(sys::host::random_bytes()?);
    let millis = u128::from(created.unix_seconds().unsigned_abs()) * 1000
        + u128::from(created.nanos() / 1_000_000);
    Ok(format!("{}{}", base36(millis, 9), base36(random, 16)))
}

fn base36(mut number: u128, width: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(number % 36).unwrap_or_default()];
        number /= 36;
    }
    digits.into_iter().map(char::from).collect()
}

/// Nanoseconds, as documents have them.
pub(super) fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time() {
        let early = invent_id(Timestamp::from_unix(1_700_000_000, 999_000_000)).unwrap();
        let late = invent_id(Timestamp::from_unix(1_700_000_001, 0)).unwrap();
        assert!(early < late);
        assert_eq!((early.len(), base36(35, 2).as_str(), base36(36, 2).as_str()), (25, "0z", "10"));
    }

    #[test]
    fn the_critical_path_is_the_longest_through_what_was_needed() {
        let step = |took, parent, sources: &[usize]| BuildStep {
            took,
            parent,
            sources: sources.to_vec(),
            ..BuildStep::default()
        };
        let steps = vec![
            step(1, None, &[]),
            step(50, Some(0), &[]),
            step(1, None, &[]),
            step(20, Some(2), &[]),
            step(0, Some(3), &[]),
            step(5, Some(4), &[1]),
            step(30, Some(2), &[]),
        ];
        let record = BuildRecord {
            id: String::new(),
            name: String::new(),
            context: String::new(),
            dockerfile: String::new(),
            target: None,
            platforms: Vec::new(),
            arguments: BTreeMap::new(),
            tags: Vec::new(),
            created: Timestamp::from_unix(0, 0),
            took: 0,
            outcome: BuildOutcome::Running,
            steps,
        };
        assert_eq!(record.critical_path(), [0, 1, 5]);
    }
}
