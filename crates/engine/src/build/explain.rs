//! Why a step had to be done: its key beside the nearest one that is remembered.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::sync::OnceLock;

use ::build::align::{Recognised, align};
use ::build::graph::{Op, Step, StepId};
use ::build::key::{About, Key, Listing, Part};
use spec::{Digest, Platform};
use store::Store;

use super::history::{self, BuildRecord, BuildStep};
use super::tell::Telling;
use super::tracks;
use super::work::{Builder, Remembered};
use crate::error::{EngineError, Result};

/// So many files are named; more are counted.
const SHOWN_FILES: usize = 10;

/// The builds before this one of the same file and context. They are looked for when needed.
pub(super) struct Earlier {
    now: BuildRecord,
    platform: Platform,
    found: OnceLock<Vec<Paired>>,
}

/// An earlier build, and which of its steps each of this one's was.
struct Paired {
    record: BuildRecord,
    pairs: Vec<Option<usize>>,
}

impl Earlier {
    pub(super) fn of(now: BuildRecord, platform: &Platform) -> Earlier {
        Earlier { now, platform: platform.clone(), found: OnceLock::new() }
    }

    /// The build that is under way, and its platform.
    pub(super) fn now(&self) -> (&BuildRecord, &Platform) {
        (&self.now, &self.platform)
    }

    fn look(&self, builder: &Builder<'_>) -> &[Paired] {
        self.found.get_or_init(|| {
            let steps = &builder.graph.steps;
            let texts: Vec<String> = steps.iter().map(tracks::text).collect();
            let mut new = Vec::with_capacity(steps.len());
            for (step, text) in steps.iter().zip(&texts) {
                let name = step.stage.and_then(|stage| builder.stages.get(stage)?.as_deref());
                let stage = step.stage.unwrap_or(usize::MAX);
                new.push(Recognised { stage, name, text });
            }
            let pair = |record: BuildRecord| {
                let pairs = align(&record.recognised(), &new);
                Paired { record, pairs }
            };
            let before = history::before(builder.store(), &self.now, &self.platform);
            before.map(pair).collect()
        })
    }
}

/// A step now and before.
struct Compared<'a> {
    at: StepId,
    now: &'a Key,
    before: &'a Key,
    /// The build that was before, and the step there; none if another file had it.
    was: Option<(&'a BuildRecord, &'a BuildStep)>,
    listing: Option<&'a Listing>,
}

impl Builder<'_> {
    /// Tells why a step is done, if that is wanted, and refuses to do it if it must not be.
    pub(super) fn explain(
        &self,
        at: StepId,
        key: &Key,
        listing: Option<&Listing>,
        telling: &Telling<'_>,
    ) -> Result<()> {
        let step = &self.graph.steps[at];
        let must_hit = match self.request.fail_on_miss.as_deref() {
            None => false,
            Some("") => true,
            Some(stage) => self.is_of(step, &[stage.to_owned()]),
        };
        if !self.request.explain && !must_hit {
            return Ok(());
        }
        let reasons = match self.may_recall(at, step) {
            false => vec!["it was asked not to use what is remembered".to_owned()],
            true => self.reasons(at, key, listing)?,
        };
        if self.request.explain {
            telling.why(&reasons);
        }
        match must_hit {
            true => Err(EngineError::Refused(format!(
                "step {:?} is not remembered: {}",
                step.title,
                reasons.join("; ")
            ))),
            false => Ok(()),
        }
    }

    fn reasons(&self, at: StepId, now: &Key, listing: Option<&Listing>) -> Result<Vec<String>> {
        let earlier = self.earlier.look(self);
        let text = tracks::text(&self.graph.steps[at]);
        // What it was in the last build, and what the same instruction was in those before.
        let candidates = earlier.iter().enumerate().filter_map(|(back, own)| {
            let was = &own.record.steps[own.pairs[at]?];
            (back == 0 || was.text == text).then_some((&own.record, was))
        });
        let mut candidates = candidates.peekable();
        if !earlier.is_empty() && candidates.peek().is_none() {
            return Ok(vec!["the instruction is new".to_owned()]);
        }
        // The one that had most in common with what it is now.
        let mut seen = HashSet::new();
        let mut nearest: Option<(usize, Key, (&BuildRecord, &BuildStep))> = None;
        for (record, was) in candidates {
            let Some(key) = was.key.as_ref().filter(|key| seen.insert(**key)) else { continue };
            let Some(before) = self.remembered(key)? else { continue };
            let alike = in_common(&before, now);
            if nearest.as_ref().is_none_or(|(most, ..)| alike > *most) {
                nearest = Some((alike, before, (record, was)));
            }
        }
        if let Some((_, before, was)) = nearest {
            let was = Some(was);
            return Ok(self.differences(&Compared { at, now, before: &before, was, listing }));
        }
        if !seen.is_empty() {
            return Ok(vec!["what is remembered of it was removed".to_owned()]);
        }
        // Nothing of this file came as far: perhaps the same was done for another.
        let before = self.nearest(now)?.map(|before| {
            self.differences(&Compared { at, now, before: &before, was: None, listing })
        });
        Ok(before.unwrap_or_else(|| vec!["nothing like it was built before".to_owned()]))
    }

    fn remembered(&self, key: &Digest) -> Result<Option<Key>> {
        let record = self.store().recall_step(key)?;
        Ok(record.and_then(|record| Some(read_rest(record.rest.get())?.key)))
    }

    /// The same instruction, wherever it was, that had most in common with this one.
    fn nearest(&self, now: &Key) -> Result<Option<Key>> {
        let told = |key: &Key| key.value(About::Instruction, "").map(str::to_owned);
        let known = self.store().remembered_steps()?.into_iter().filter_map(|step| {
            let key = read_rest(step.record.rest.get())?.key;
            let alike = in_common(&key, now);
            (told(&key) == told(now)).then_some((alike, step.used, key))
        });
        let nearest = known.max_by_key(|(alike, used, _)| (*alike, *used));
        Ok(nearest.map(|(_, _, key)| key))
    }

    /// What differs between two keys, in words: causes, not what follows from them.
    fn differences(&self, compared: &Compared<'_>) -> Vec<String> {
        let Compared { at, now, before, .. } = *compared;
        let instruction = before.value(About::Instruction, "") != now.value(About::Instruction, "");
        let step = &self.graph.steps[at];
        let arguments = compared.changed_arguments(step);
        let mut said: Vec<String> = Vec::new();
        for Changed { about, name, was, is } in changed(before, now) {
            match about {
                // Words and documents that were expanded to others changed by what they were expanded
                // with, and by themselves if they are written otherwise.
                About::Instruction if !arguments.is_empty() && name != "exact" => {
                    said.extend(compared.rewritten(step, name));
                    let new = arguments.iter().filter(|argument| !said.contains(*argument));
                    let new: Vec<String> = new.cloned().collect();
                    said.extend(new);
                }
                About::Instruction if name.is_empty() && compared.is_same_text(step) => {
                    said.push(format!(
                        "the shell changed: it ran {:?} and now runs {:?}",
                        was.unwrap_or_default(),
                        is.unwrap_or_default()
                    ));
                }
                // The same under another name is what the instruction says.
                About::Source if was.is_none() && has_source(before, is) => {}
                About::Source if is.is_none() && has_source(now, was) => {}
                About::Files => said.extend(self.changed_files(compared, instruction)),
                About::Base => said.push(self.changed_base(compared)),
                About::Setting if name == "epoch" => said.extend(self.changed_epoch(compared)),
                about => said.push(said_of(about, name, was, is)),
            }
        }
        match said.is_empty() {
            true if before == now => vec!["what it gave before is gone".to_owned()],
            true => vec!["what it stands on has another time".to_owned()],
            false => said,
        }
    }

    /// Which files differ. Where the instruction chose other files, that is the cause, and only what
    /// it chose both times is told.
    fn changed_files(&self, compared: &Compared<'_>, instruction: bool) -> Vec<String> {
        let digest = compared.before.value(About::Files, "");
        let digest = digest.and_then(|text| text.parse::<Digest>().ok());
        let old = digest.and_then(|digest| read_listing(self.store(), &digest));
        match (old, compared.listing) {
            (Some(old), Some(new)) => {
                let is_there = |path: &str| self.context.has(path);
                changed_files(&old, &new.lines, instruction, &is_there)
            }
            _ if instruction => Vec::new(),
            _ => vec!["the files of the context changed".to_owned()],
        }
    }

    /// How what a step stands on changed: by its base, or by a step before it.
    fn changed_base(&self, compared: &Compared<'_>) -> String {
        let steps = &self.graph.steps;
        let mut below = steps[compared.at].parent;
        while let Some(at) = below.filter(|at| matches!(steps[*at].op, Op::Config { .. })) {
            below = steps[at].parent;
        }
        let now = below.and_then(|at| match &steps[at].op {
            Op::Base { image, .. } => Some(image.as_str()),
            Op::Scratch => Some("scratch"),
            _ => None,
        });
        match (compared.base_before(), now) {
            (Some(was), Some(now)) if was != now => {
                format!("the base changed from {was} to {now}")
            }
            (Some(_), Some(now)) => format!("the base {now} changed"),
            _ => "what it stands on changed".to_owned(),
        }
    }

    /// Times of a base change with it; those that the user gave are a cause of their own.
    fn changed_epoch(&self, compared: &Compared<'_>) -> Option<String> {
        const EPOCH: &str = "SOURCE_DATE_EPOCH";
        let (record, _) = compared.was?;
        let (was, is) = (record.arguments.get(EPOCH), self.request.arguments.get(EPOCH));
        let (was, is) = (was.map(String::as_str), is.map(String::as_str));
        (was != is).then(|| said_of(About::Argument, EPOCH, was, is))
    }
}

impl Compared<'_> {
    fn is_same_text(&self, step: &Step) -> bool {
        self.was.is_some_and(|(_, was)| was.text == step.text)
    }

    /// Variables that words or documents were expanded with before and are now, and that hold
    /// something else.
    fn changed_arguments(&self, step: &Step) -> Vec<String> {
        let Some((_, was)) = self.was else { return Vec::new() };
        let told = |(name, value): (&String, &String)| {
            let before = was.used.get(name).filter(|before| *before != value)?;
            Some(said_of(About::Argument, name, Some(before), Some(value)))
        };
        step.used.iter().filter_map(told).collect()
    }

    /// That the words, or a document, are written otherwise than they were; nothing if they are not.
    fn rewritten(&self, step: &Step, document: &str) -> Option<String> {
        let (_, was) = self.was?;
        match document {
            "" if was.text == step.text => None,
            "" => Some(said_of(About::Instruction, "", Some(&was.text), Some(&step.text))),
            name if was.documents.is_empty()
                || was.documents.get(name) == step.documents.get(name) =>
            {
                None
            }
            name => Some(format!("the text of the document {name} changed")),
        }
    }

    /// The name of the base that the step stood on before, if no step lay between.
    fn base_before(&self) -> Option<&str> {
        let (record, was) = self.was?;
        let mut below = was.parent;
        while let Some(step) = below.and_then(|at| record.steps.get(at)) {
            match step.text.strip_prefix("FROM ") {
                Some(name) => return Some(name),
                None if step.key.is_some() => return None,
                None => below = step.parent,
            }
        }
        None
    }
}

/// Whether a key depends on this source, whatever it is called there.
fn has_source(key: &Key, value: Option<&str>) -> bool {
    let same = |part: &Part| part.about == About::Source && Some(part.value.as_str()) == value;
    key.parts.iter().any(same)
}

/// How many parts two keys have alike.
fn in_common(one: &Key, other: &Key) -> usize {
    one.parts.iter().filter(|part| other.parts.contains(part)).count()
}

fn read_rest(text: &str) -> Option<Remembered> {
    serde_json::from_str(text).ok()
}

/// A part that two keys do not have alike.
struct Changed<'a> {
    about: About,
    name: &'a str,
    was: Option<&'a str>,
    is: Option<&'a str>,
}

fn changed<'a>(before: &'a Key, now: &'a Key) -> Vec<Changed<'a>> {
    let parts = |key: &'a Key| -> BTreeMap<(About, &'a str), &'a str> {
        let pair = |part: &'a Part| ((part.about, part.name.as_str()), part.value.as_str());
        key.parts.iter().map(pair).collect()
    };
    let (old, new) = (parts(before), parts(now));
    let mut names: Vec<(About, &str)> = old.keys().chain(new.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let of = |at: (About, &'a str)| Changed {
        about: at.0,
        name: at.1,
        was: old.get(&at).copied(),
        is: new.get(&at).copied(),
    };
    names.into_iter().map(of).filter(|changed| changed.was != changed.is).collect()
}

fn said_of(about: About, name: &str, was: Option<&str>, is: Option<&str>) -> String {
    let what = match about {
        About::Instruction if name.is_empty() => "the instruction".to_owned(),
        About::Instruction => format!("the document {name}"),
        About::Base => return "what it stands on changed".to_owned(),
        About::Source => return format!("what it takes from {name} changed"),
        About::Files => "the files".to_owned(),
        About::Argument => format!("argument {name}"),
        About::Environment => format!("variable {name}"),
        About::Setting => format!("the {name}"),
        About::Mount => format!("the mount at {name}"),
        About::Fetched => return format!("what is at {name} changed"),
    };
    match (was, is) {
        (None, _) => format!("{what} is new"),
        (_, None) => format!("{what} is gone"),
        (Some(was), Some(is)) => format!("{what} changed from {was:?} to {is:?}"),
    }
}

/// Files that were added, deleted or changed, by what changed of them; or only those that were
/// chosen both times.
fn changed_files(old: &str, new: &str, both: bool, is_there: &dyn Fn(&str) -> bool) -> Vec<String> {
    let rows = |text| -> BTreeMap<_, _> { str::lines(text).filter_map(row_of).collect() };
    let (old, new) = (rows(old), rows(new));
    let mut said = Vec::new();
    for (path, (kind, mode, content)) in &new {
        match old.get(path) {
            None if both => {}
            None => said.push(format!("file {path} was added")),
            Some((was, _, _)) if was != kind => {
                said.push(format!("{path} is another kind of file"))
            }
            Some((_, _, was)) if was != content => said.push(format!("file {path} changed")),
            Some((_, was, _)) if was != mode => {
                said.push(format!("the mode of {path} changed from {was} to {mode}"));
            }
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|path| !both && !new.contains_key(*path));
    said.extend(gone.map(|path| match is_there(path) {
        true => format!("file {path} is left out now, by .dockerignore"),
        false => format!("file {path} was deleted"),
    }));
    if said.len() > SHOWN_FILES {
        let more = said.len() - SHOWN_FILES;
        said.truncate(SHOWN_FILES);
        said.push(format!("and {more} files more"));
    }
    said
}

/// A line of a listing: the path, then kind, permissions and content.
fn row_of(line: &str) -> Option<(&str, (&str, &str, &str))> {
    let mut words = line.splitn(4, ' ');
    let (kind, mode, content) = (words.next()?, words.next()?, words.next()?);
    Some((words.next()?, (kind, mode, content)))
}

fn listing_path(store: &Store, digest: &Digest) -> std::path::PathBuf {
    store.build_folder().join("listings").join(digest.hex())
}

/// Keeps a listing, so that a later one can be compared. One that cannot be kept is not missed
/// before somebody asks why.
pub(super) fn keep_listing(store: &Store, listing: &Listing) {
    let path = listing_path(store, &listing.digest());
    if path.exists() {
        return;
    }
    if let Some(folder) = path.parent() {
        let _ = fs::create_dir_all(folder);
    }
    let _ = fs::write(path, &listing.lines);
}

fn read_listing(store: &Store, digest: &Digest) -> Option<String> {
    let text = fs::read_to_string(listing_path(store, digest)).ok()?;
    (Digest::of(text.as_bytes()) == *digest).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[(About, &str, &str)]) -> Key {
        parts
            .iter()
            .fold(Key::default(), |key, (about, name, value)| key.with(*about, name, *value))
    }

    #[test]
    fn what_changed_is_found_and_nothing_else() {
        let before = key(&[
            (About::Instruction, "", "RUN make"),
            (About::Base, "", "sha256:1"),
            (About::Argument, "V", "1"),
        ]);
        let said = |now: &Key| -> Vec<String> {
            let said = |own: Changed<'_>| said_of(own.about, own.name, own.was, own.is);
            changed(&before, now).into_iter().map(said).collect()
        };
        let mut now = before.clone();
        assert!(said(&now).is_empty());
        now.parts[2].value = "2".to_owned();
        assert_eq!(said(&now), ["argument V changed from \"1\" to \"2\""]);
        now.parts.pop();
        assert_eq!(said(&now), ["argument V is gone"]);
    }

    #[test]
    fn files_are_told_apart() {
        let old = "f 0644 aa a\nf 0644 bb b\nf 0644 cc c\nd 0755 - d\nf 0644 dd i\n";
        let new = "f 0755 aa a\nf 0644 b2 b\nd 0755 - d\nf 0644 ee e f\n";
        let wanted = [
            "the mode of a changed from 0644 to 0755",
            "file b changed",
            "file e f was added",
            "file c was deleted",
            "file i is left out now, by .dockerignore",
        ];
        assert_eq!(changed_files(old, new, false, &|path| path == "i"), wanted);
        assert_eq!(changed_files(old, new, true, &|_| false), wanted[..2]);
    }
}
