//! Single files that are made or removed.

use std::sync::Arc;

use ::build::change::{Change, Moment};
use ::build::config::absolute;
use ::build::instruction::CopyFlags;
use ::build::key::{About, Key};
use ::build::solver::Inputs;
use image::tar::{Entry, EntryKind, TarWriter, Time};
use spec::Digest;
use sys::fs::FileType;

use super::below::Below;
use super::copy::{self, Gathered, Placing};
use super::layers;
use super::place::{Chosen, Item, ItemSource, join};
use super::work::{Builder, Layered, Made, parent, shown};
use crate::container::accounts;
use crate::error::{EngineError, Result};

/// What says in a layer that a name is not there any more.
const WHITEOUT: &[u8] = b".wh.";

impl Builder<'_> {
    /// What a change depends on.
    pub(super) fn change_key(&self, change: &Change, inputs: &Inputs<Made>) -> Key {
        let told = match change {
            Change::File { path, mode, data, owner, created } => {
                format!("file {path} {mode:o} {owner:?} {created:?} {}", Digest::of(data))
            }
            other => format!("{other:?}"),
        };
        let key = Key::default().with(About::Instruction, "", told);
        let key = key.with(About::Base, "", shown(parent(inputs).top));
        match inputs.sources.first() {
            Some(accounts) => key.with(About::Source, "accounts", shown(accounts.top)),
            None => key,
        }
    }

    /// Changes a tree. Owners are looked up in the source, if there is one, and else in the tree.
    pub(super) fn change(&self, change: &Change, inputs: &Inputs<Made>) -> Result<Layered> {
        let below = parent(inputs);
        let view = self.view(below.top)?;
        let tree = &mut Below::new(&view);
        let (path, owner, created, chosen) = match change {
            Change::Folder { path, mode, parents, owner, created } => {
                let real = tree.resolve(absolute("/", path).trim_matches('/').as_bytes())?;
                match tree.kind(&real)? {
                    Some(FileType::Directory) => return Ok((below.top, None)),
                    Some(_) if *parents => return Err(there_already(path)),
                    // As BuildKit has it: whatever is there is as good as a new folder.
                    Some(_) => return Ok((below.top, None)),
                    None => {}
                }
                let mut chosen = copy::empty_folder();
                chosen.items_mut().iter_mut().for_each(|item| item.stat.mode = mode & 0o7777);
                (path, owner, created, chosen)
            }
            Change::File { path, mode, data, owner, created } => {
                let real = tree.resolve(absolute("/", path).trim_matches('/').as_bytes())?;
                if tree.kind(&real)? == Some(FileType::Directory) || real.is_empty() {
                    return Err(there_already(path));
                }
                let bytes: Arc<[u8]> = data.as_slice().into();
                let count = bytes.len() as u64;
                let item = Item::made(ItemSource::Bytes(bytes), mode & 0o7777, count, None);
                (path, owner, created, Chosen::made(b"", item))
            }
            Change::Link { path, target, owner, created } => {
                let target = ItemSource::Link(target.as_bytes().into());
                (path, owner, created, Chosen::made(b"", Item::made(target, 0o777, 0, None)))
            }
            Change::Remove { path, is_optional, is_pattern } => {
                return self.remove((path, *is_pattern), *is_optional, below);
            }
        };
        let owner = match owner {
            Some(text) => {
                let accounts_in = inputs.sources.first().map_or(below.top, |made| made.top);
                Some(copy::owner(text, &accounts(&*self.view(accounts_in)?)?)?)
            }
            None => None,
        };
        let gathered = Gathered { chosen: vec![chosen], ..Gathered::default() };
        let flags = CopyFlags::default();
        let path = absolute("/", path);
        let created = self.created(*created);
        let placing = Placing { target: &path, owner, flags: &flags, epoch: below.epoch, created };
        let plan = copy::Plan::new(gathered, placing, Below::new(&view))?;
        let unpacked = layers::written(self.store(), self.lease, |out| plan.write(out))?;
        self.adopt(unpacked, below.top)
    }

    /// The time that something is to have: none is later than the one that the user set for all.
    pub(super) fn created(&self, created: Option<Moment>) -> Option<Moment> {
        let latest = self.epoch.map(|epoch| (epoch, 0));
        created.map(|created| latest.map_or(created, |latest| created.min(latest)))
    }

    /// Removes what a path or a pattern means.
    fn remove(
        &self,
        (path, is_pattern): (&str, bool),
        is_optional: bool,
        below: &Made,
    ) -> Result<Layered> {
        let view = self.view(below.top)?;
        let mut tree = Below::new(&view);
        let clean = absolute("/", path);
        let paths = match is_pattern {
            // Names as they are: a link that leads nowhere is removed as well.
            true => self.place_of(below, "")?.paths(&clean, false)?,
            false => vec![clean.trim_matches('/').as_bytes().to_vec()],
        };
        let mut names = Vec::new();
        for path in paths {
            let at = path.iter().rposition(|byte| *byte == b'/');
            let (above, name) =
                at.map_or((&[][..], &path[..]), |at| (&path[..at], &path[at + 1..]));
            let real = join(&tree.resolve(above)?, name);
            if !name.is_empty() && tree.kind(&real)?.is_some() {
                names.push(real);
            }
        }
        if names.is_empty() {
            return match is_optional || is_pattern {
                true => Ok((below.top, None)),
                false => Err(EngineError::Refused(format!("rm {path}: no such file or directory"))),
            };
        }
        let unpacked = layers::written(self.store(), self.lease, |out| {
            let mut tar = TarWriter::new(out);
            for name in &names {
                let time = Time { seconds: below.epoch, nanos: 0 };
                tar.append(&whiteout(name, time), &mut std::io::empty())
                    .map_err(EngineError::Write)?;
            }
            tar.finish().map(drop).map_err(EngineError::Write)
        })?;
        self.adopt(unpacked, below.top)
    }
}

fn there_already(path: &str) -> EngineError {
    EngineError::Refused(format!("{path} is there already"))
}

/// What stands for a name that is removed.
fn whiteout(path: &[u8], mtime: Time) -> Entry {
    let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let path = [&path[..at], WHITEOUT, &path[at..]].concat();
    Entry { path, kind: EntryKind::File, mode: 0o600, mtime, ..Entry::default() }
}
