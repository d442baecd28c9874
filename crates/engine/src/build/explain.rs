//! Why a step had to be done: its key beside the nearest one that is remembered.

use std::collections::BTreeMap;
use std::fs;

use ::build::graph::Step;
use ::build::key::{About, Key, Listing, Part};
use spec::Digest;
use store::Store;

use super::tell::Telling;
use super::work::{Builder, Remembered};
use crate::error::{EngineError, Result};

/// So many files are named; more are counted.
const SHOWN_FILES: usize = 10;

impl Builder<'_> {
    /// Tells why a step is done, if that is wanted, and refuses to do it if it must not be.
    pub(super) fn explain(
        &self,
        step: &Step,
        key: &Key,
        listing: Option<&Listing>,
        telling: &Telling<'_>,
    ) -> Result<()> {
        let must_hit = match self.request.fail_on_miss.as_deref() {
            None => false,
            Some("") => true,
            Some(stage) => self.is_of(step, &[stage.to_owned()]),
        };
        if !self.request.explain && !must_hit {
            return Ok(());
        }
        let reasons = match self.may_recall(step) {
            false => vec!["it was asked not to use what is remembered".to_owned()],
            true => self.reasons(key, listing)?,
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

    fn reasons(&self, key: &Key, listing: Option<&Listing>) -> Result<Vec<String>> {
        let known = self.store().remembered_steps()?;
        let mut nearest: Option<(usize, std::time::SystemTime, Key)> = None;
        for step in known {
            let Ok(remembered) = serde_json::from_str::<Remembered>(step.record.rest.get()) else {
                continue;
            };
            let Some(alike) = alike(key, &remembered.key) else { continue };
            let better =
                nearest.as_ref().is_none_or(|(most, used, _)| (alike, step.used) > (*most, *used));
            if better {
                nearest = Some((alike, step.used, remembered.key));
            }
        }
        Ok(match nearest {
            None => vec!["nothing like it was built before".to_owned()],
            Some((_, _, before)) => {
                differences(&before, key, |name| self.files(&before, name, listing))
            }
        })
    }

    /// Which files differ.
    fn files(&self, before: &Key, name: &str, listing: Option<&Listing>) -> Vec<String> {
        let unknown = || vec!["the files of the context changed".to_owned()];
        let digest = before.value(About::Files, name).and_then(|text| text.parse::<Digest>().ok());
        let old = digest.and_then(|digest| read_listing(self.store(), &digest));
        match (old, listing) {
            (Some(old), Some(new)) => changed_files(&old, &new.lines),
            _ => unknown(),
        }
    }
}

/// How much two keys have in common; none if they are about different things.
fn alike(one: &Key, other: &Key) -> Option<usize> {
    let word = |key: &Key| {
        let text = key.value(About::Instruction, "").unwrap_or_default().to_owned();
        text.split(' ').next().unwrap_or_default().to_owned()
    };
    if word(one) != word(other) {
        return None;
    }
    let same = one.parts.iter().filter(|part| other.parts.contains(part)).count();
    let told = one.value(About::Instruction, "") == other.value(About::Instruction, "");
    let stands = one.value(About::Base, "") == other.value(About::Base, "");
    // Neither the same words nor the same place: nobody would say that one became the other.
    (told || stands).then_some(same + if told { 1000 } else { 0 })
}

/// What differs between two keys, in words.
fn differences(before: &Key, now: &Key, files: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let parts = |key: &Key| -> BTreeMap<(About, String), String> {
        let pair = |part: &Part| ((part.about, part.name.clone()), part.value.clone());
        key.parts.iter().map(pair).collect()
    };
    let (old, new) = (parts(before), parts(now));
    let mut said = Vec::new();
    let mut names: Vec<&(About, String)> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    for at in names {
        let (was, is) = (old.get(at), new.get(at));
        if was == is {
            continue;
        }
        let (about, name) = at;
        match about {
            About::Files => said.extend(files(name)),
            about => said.push(said_of(*about, name, was, is)),
        }
    }
    // Words that an argument or a file expands to say nothing of their own.
    if said.is_empty() { vec!["what it gave before is gone".to_owned()] } else { said }
}

fn said_of(about: About, name: &str, was: Option<&String>, is: Option<&String>) -> String {
    let what = match about {
        About::Instruction if name.is_empty() => "the instruction".to_owned(),
        About::Instruction => format!("the document {name}"),
        About::Base => return "what it stands on changed".to_owned(),
        About::Source => return format!("what it takes from {name} changed"),
        About::Files => "the files".to_owned(),
        About::Argument => format!("argument {name}"),
        About::Environment => format!("variable {name}"),
        About::Setting if name == "epoch" => "SOURCE_DATE_EPOCH".to_owned(),
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

/// Files that were added, deleted or changed, by what changed of them.
fn changed_files(old: &str, new: &str) -> Vec<String> {
    let rows = |text| -> BTreeMap<_, _> { str::lines(text).filter_map(row_of).collect() };
    let (old, new) = (rows(old), rows(new));
    let mut said = Vec::new();
    for (path, (kind, mode, content)) in &new {
        match old.get(path) {
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
    let gone = old.keys().filter(|path| !new.contains_key(*path));
    said.extend(gone.map(|path| format!("file {path} was deleted")));
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
    fn names_what_changed_and_nothing_else() {
        let before = key(&[
            (About::Instruction, "", "RUN make"),
            (About::Base, "", "sha256:1"),
            (About::Argument, "V", "1"),
        ]);
        let mut now = before.clone();
        now.parts[2].value = "2".to_owned();
        assert_eq!(
            differences(&before, &now, |_| vec![]),
            ["argument V changed from \"1\" to \"2\""]
        );
        now.parts.pop();
        assert_eq!(differences(&before, &now, |_| vec![]), ["argument V is gone"]);
    }

    #[test]
    fn files_are_told_apart() {
        let old = "f 0644 aa a\nf 0644 bb b\nf 0644 cc c\nd 0755 - d\n";
        let new = "f 0755 aa a\nf 0644 b2 b\nd 0755 - d\nf 0644 ee e f\n";
        let wanted = [
            "the mode of a changed from 0644 to 0755",
            "file b changed",
            "file e f was added",
            "file c was deleted",
        ];
        assert_eq!(changed_files(old, new), wanted);
    }
}
