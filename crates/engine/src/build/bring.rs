//! Steps that bring files: `COPY`, `ADD`, and the folder of a `WORKDIR`. What each depends on, and the
//! layer that it gives.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use ::build::config;
use ::build::ignore::Ignore;
use ::build::instruction::{CopyFlags, Source};
use ::build::key::{About, Key, apart};
use ::build::solver::Inputs;
use spec::ChainId;
use store::Unpacked;

use super::below::Below;
use super::copy::{self, Gathered, Listed, Placing};
use super::fetch::without_user;
use super::older::Older;
use super::place::Place;
use super::work::{Builder, Layered, Made, Wanted, parent, shown};
use super::{fetch, layers, twice};
use crate::container::accounts;
use crate::error::Result;

/// A `COPY` or an `ADD`.
#[derive(Clone, Copy)]
pub(super) struct Copied<'a> {
    pub(super) flags: &'a CopyFlags,
    pub(super) sources: &'a [Source],
    pub(super) target: &'a str,
    pub(super) is_add: bool,
}

impl Builder<'_> {
    pub(super) fn workdir_key(&self, path: &str, below: &Made) -> Option<Key> {
        let wanted = config::absolute(below.configured.working_dir(), path);
        let key = Key::default()
            .with(About::Instruction, "", format!("WORKDIR {wanted}"))
            .with(About::Base, "", shown(below.top))
            .with(About::Setting, "user", below.configured.user());
        (wanted != "/").then_some(key)
    }

    /// Makes a folder, unless it is there.
    pub(super) fn make_folder(&self, path: &str, below: &Made) -> Result<Layered> {
        let path = config::absolute(below.configured.working_dir(), path);
        let view = self.view(below.top)?;
        let mut tree = Below::new(&view);
        let real = tree.resolve(path.trim_start_matches('/').as_bytes())?;
        if tree.kind(&real)? == Some(sys::fs::FileType::Directory) {
            return Ok((below.top, None));
        }
        let owner = match below.configured.user() {
            "" => (0, 0),
            user => copy::owner(user, &accounts(&*view)?)?,
        };
        let mut gathered = Gathered::default();
        gathered.chosen.push(copy::empty_folder());
        let flags = CopyFlags::default();
        let (owner, created) = (Some(owner), None);
        let placing = Placing { target: &path, owner, flags: &flags, epoch: below.epoch, created };
        self.adopt(self.unpacked((gathered, None), placing, &view)?, below.top)
    }

    pub(super) fn copy_key(
        &self,
        copied: Copied<'_>,
        inputs: &Inputs<Made>,
        wanted: &mut Wanted,
    ) -> Result<Option<Key>> {
        let below = parent(inputs);
        let Copied { flags, sources, target, is_add } = copied;
        let words = copy_words(flags, sources, target, is_add);
        let told = match words.iter().any(|word| word.contains(' ')) {
            true => apart(&words),
            false => words.join(" "),
        };
        let mut key = Key::default().with(About::Instruction, "", told);
        if let Some(exact) = &flags.exact {
            key = key.with(About::Instruction, "exact", format!("{exact:?}"));
        }
        for source in sources {
            if let Source::Inline(heredoc) = source {
                key = key.with(About::Instruction, &heredoc.name, &heredoc.content);
            }
        }
        let from = inputs.sources.first().filter(|_| flags.from.is_some());
        match from.filter(|made| made.folder.is_none()) {
            // What is in another stage is known by its stack; its files are not looked at.
            Some(made) => {
                let name = flags.from.as_deref().unwrap_or_default();
                key = key.with(About::Source, name, shown(made.top));
            }
            None => {
                let place = from.and_then(|made| made.folder.as_ref()).unwrap_or(&self.context);
                let mut gathered = self.gather(copied, place, Some(&mut key))?;
                if gathered.archives.is_empty() && gathered.let_pass() {
                    let since = Instant::now();
                    let target = target_of(below.configured.working_dir(), target);
                    let all = (gathered.clone(), None);
                    let unpacked = self.copy_unpacked(all, flags, &target, inputs)?;
                    wanted.written = Some((unpacked, since));
                }
                if let Some(time) = gathered.time {
                    key = key.with(About::Setting, "time", time.to_string());
                }
                let listing = gathered.list()?;
                wanted.gathered = gathered;
                if !listing.lines.is_empty() {
                    key = key.with(About::Files, "", listing.digest().to_string());
                    wanted.listing = Some(listing);
                }
            }
        }
        if let Some(accounts) = inputs.sources.get(1) {
            key = key.with(About::Source, "accounts", shown(accounts.top));
        }
        // Even what is linked depends on what it stands on where that says who somebody is.
        if !flags.link || flags.chown.as_deref().is_some_and(names_somebody) {
            key = key.with(About::Base, "", shown(below.top));
        }
        let folder = below.configured.working_dir();
        Ok(Some(key.with(About::Setting, "folder", folder)))
    }

    /// Chooses all that is copied, and tells what of it was fetched.
    pub(super) fn gather(
        &self,
        Copied { flags, sources, is_add, .. }: Copied<'_>,
        place: &Arc<Place>,
        mut told: Option<&mut Key>,
    ) -> Result<Gathered> {
        let exclude = left_out(flags)?;
        let mut gathered = Gathered::default();
        for source in sources {
            let path = match source {
                Source::Inline(heredoc) => {
                    gathered.chosen.push(copy::inline(&heredoc.name, &heredoc.content));
                    continue;
                }
                Source::Path(url) if is_add && self.is_repository(url)? => {
                    let (place, commit) = self.repository(url, flags)?;
                    if let Some(key) = &mut told {
                        let name = without_user(url);
                        **key = std::mem::take(*key).with(About::Fetched, &name, commit);
                    }
                    gathered.time = gathered.time.max(place.time());
                    gathered.chosen.extend(place.choose(".", &exclude)?);
                    continue;
                }
                Source::Path(url) if is_add && fetch::is_remote(url) => {
                    let fetched = self.fetch(url, flags)?;
                    if let Some(key) = &mut told {
                        let name = without_user(url);
                        **key = std::mem::take(*key).with(About::Fetched, &name, &fetched.what);
                    }
                    fetched.put(flags, &mut gathered);
                    continue;
                }
                Source::Path(path) => path,
            };
            gathered.time = gathered.time.max(place.time());
            let all = match (flags.parents, &flags.exact) {
                (true, _) => place.choose_with_parents(path, &exclude)?,
                (false, None) => place.choose(path, &exclude)?,
                (false, Some(exact)) => place.choose_exactly(path, &exclude, exact)?,
            };
            for chosen in all {
                let unpacks = is_add && flags.unpack.unwrap_or(true) && !chosen.is_folder;
                match unpacks && copy::is_archive(&chosen) {
                    true => {
                        gathered.listed.push(Listed::Archive(gathered.archives.len()));
                        gathered.add_archive(chosen);
                    }
                    false => {
                        gathered.listed.push(Listed::Chosen(gathered.chosen.len()));
                        gathered.chosen.push(chosen);
                    }
                }
            }
        }
        Ok(gathered)
    }

    pub(super) fn copy_layer(
        &self,
        gathered: (Gathered, Option<Older>),
        flags: &CopyFlags,
        target: &str,
        inputs: &Inputs<Made>,
    ) -> Result<Layered> {
        let unpacked = self.copy_unpacked(gathered, flags, target, inputs)?;
        self.adopt(unpacked, parent(inputs).top)
    }

    /// The layer, before it is on its stack. Owners are looked up in the second source, if there is one.
    fn copy_unpacked(
        &self,
        (gathered, older): (Gathered, Option<Older>),
        flags: &CopyFlags,
        target: &str,
        inputs: &Inputs<Made>,
    ) -> Result<Unpacked> {
        let below = parent(inputs);
        let accounts_in = inputs.sources.get(1).map_or(below.top, |made| made.top);
        let view = self.view(if flags.link { None } else { below.top })?;
        let owner = match &flags.chown {
            Some(text) => Some(copy::owner(text, &accounts(&*self.view(accounts_in)?)?)?),
            None => None,
        };
        let created = self.created(flags.exact.as_ref().and_then(|exact| exact.created));
        // Who asked for times of files gets them, unless the build says that none is so late.
        let latest = gathered.time.filter(|_| self.epoch.is_none());
        let epoch = latest.map_or(below.epoch, |time| time.max(below.epoch));
        let placing = Placing { target, owner, flags, epoch, created };
        self.unpacked((gathered, older), placing, &view)
    }

    fn unpacked(
        &self,
        (gathered, older): (Gathered, Option<Older>),
        placing: Placing<'_>,
        view: &OwnedFd,
    ) -> Result<Unpacked> {
        let again = (!gathered.archives.is_empty()).then(|| gathered.clone());
        let plan = copy::Plan::new(gathered, placing, Below::new(view))?.reusing(older);
        let written = layers::written(self.store(), self.lease, |out| plan.write(out));
        let (Err(error), Some(gathered)) = (&written, again) else { return written };
        if !twice::is_why(error) {
            return written;
        }
        // Archives may name a path twice, in one or in several or with a file beside them, and layers
        // may not: the last source counts.
        let plan = copy::Plan::new(gathered, placing, Below::new(view))?;
        let mut all = self.store().scratch(self.lease)?;
        plan.write_in_turn(&mut all)?;
        layers::written(self.store(), self.lease, |out| twice::settle(&mut all, out))
    }

    /// Puts a layer on its stack.
    pub(super) fn adopt(&self, unpacked: Unpacked, below: Option<ChainId>) -> Result<Layered> {
        let (top, layer) = layers::adopt(self.store(), self.lease, unpacked, below)?;
        Ok((Some(top), Some(layer)))
    }
}

/// What is left out: what patterns say, and all that is not among what alone is wanted.
fn left_out(flags: &CopyFlags) -> Result<Ignore> {
    let include = flags.exact.as_ref().map_or(&[][..], |exact| &exact.include);
    if include.is_empty() {
        return Ok(Ignore::new(&flags.exclude)?);
    }
    let wanted = include.iter().map(|pattern| format!("!{pattern}"));
    let patterns: Vec<String> =
        ["**".to_owned()].into_iter().chain(wanted).chain(flags.exclude.iter().cloned()).collect();
    Ok(Ignore::new(&patterns)?)
}

/// Whether an owner or a group is named, not numbered.
fn names_somebody(chown: &str) -> bool {
    chown.split(':').any(|part| !part.is_empty() && part.parse::<u32>().is_err())
}

/// A target's absolute path, still with the slash that makes it a folder.
pub(super) fn target_of(folder: &str, target: &str) -> String {
    let is_folder = target.ends_with('/')
        || matches!(target, "." | "..")
        || target.ends_with("/.")
        || target.ends_with("/..");
    let path = config::absolute(folder, target);
    if is_folder && path != "/" { format!("{path}/") } else { path }
}

/// How the history tells of a `COPY` or an `ADD`.
pub(super) fn copy_history(
    flags: &CopyFlags,
    sources: &[Source],
    target: &str,
    is_add: bool,
) -> String {
    copy_words(flags, sources, target, is_add).join(" ") + " # buildkit"
}

fn copy_words(flags: &CopyFlags, sources: &[Source], target: &str, is_add: bool) -> Vec<String> {
    let mut words = vec![if is_add { "ADD" } else { "COPY" }.to_owned()];
    let mut flag = |name: &str, value: &Option<String>| {
        words.extend(value.as_ref().map(|value| format!("--{name}={value}")));
    };
    flag("from", &flags.from);
    flag("chown", &flags.chown);
    flag("chmod", &flags.chmod);
    flag("checksum", &flags.checksum);
    flag("keep-git-dir", &flags.keep_git_dir.map(|value| value.to_string()));
    flag("unpack", &flags.unpack.map(|value| value.to_string()));
    words.extend(flags.link.then(|| "--link".to_owned()));
    words.extend(flags.parents.then(|| "--parents".to_owned()));
    words.extend(flags.exclude.iter().map(|pattern| format!("--exclude={pattern}")));
    words.extend(sources.iter().map(|source| match source {
        Source::Path(path) => without_user(path),
        Source::Inline(heredoc) => format!("<<{}", heredoc.name),
    }));
    words.push(target.to_owned());
    words
}
