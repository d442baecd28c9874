//! Operations on files: copied, made, removed, one action after another.

use std::collections::HashMap;

use engine::steps::{Change, CopyFlags, Exact, Moment, Op as StepOp, Source, StepId};

use super::sources::COPIED;
use super::{Given, MAX_INPUTS, MAX_RESULTS, Operation, Planner, Results, input_of};
use crate::buildkit::messages::ops::{Action, Copy, FileAction, FileOp, Owner, Who, WhoBy};
use crate::wire::Status;

impl Planner<'_> {
    pub(super) fn files(&mut self, own: &Operation, file: &FileOp) -> Result<Results, Status> {
        if file.actions.is_empty() || file.actions.len() > MAX_INPUTS {
            return Err(Status::invalid(format!("{} actions on files", file.actions.len())));
        }
        let mut done: Vec<StepId> = Vec::new();
        let mut results = HashMap::new();
        for action in &file.actions {
            let step = self.action(own, action, &done)?;
            done.push(step);
            if (0..MAX_RESULTS).contains(&action.output) {
                results.insert(action.output, Given::Step(step));
            }
        }
        Ok(results)
    }

    fn action(
        &mut self,
        own: &Operation,
        action: &FileAction,
        done: &[StepId],
    ) -> Result<StepId, Status> {
        let parent = match earlier(own, action.input, done)? {
            Some(step) => step,
            None => self.input(own, action.input)?,
        };
        let kind = action.action.as_ref();
        let kind = kind.ok_or_else(|| Status::unsupported("an action on files that is unknown"))?;
        let (op, mut sources) = match kind {
            Action::Copy(copy) => {
                let from = match (earlier(own, action.second, done)?, action.second) {
                    (Some(step), _) => step,
                    (None, -1) => self.nothing(),
                    (None, number) => self.copied_from(&input_of(own, number)?)?,
                };
                (self.copy(copy)?, vec![from])
            }
            other => (StepOp::Change(change(other)?), Vec::new()),
        };
        if let Some(number) = names_looked_up_in(kind)? {
            let accounts = match earlier(own, number, done)? {
                Some(step) => step,
                None => self.input(own, number)?,
            };
            // What is changed has its own accounts, and needs no word about it.
            if accounts != parent {
                sources.push(accounts);
            }
        }
        let usual = || match &op {
            StepOp::Copy { sources, target, .. } => {
                let path = match sources.first() {
                    Some(Source::Path(path)) => path.as_str(),
                    _ => "/",
                };
                format!("copy {path} {target}")
            }
            StepOp::Change(change) => change.title(),
            _ => String::new(),
        };
        let title = self.title(own, usual);
        Ok(self.add(op, Some(parent), sources, title))
    }

    fn copy(&self, copy: &Copy) -> Result<StepOp, Status> {
        let exact = Exact {
            whole_folder: !copy.contents,
            keeps_link: !copy.follows_link,
            is_literal: !copy.pattern,
            must_match: !copy.pattern_may_be_empty,
            include: copy.include.clone(),
            replaces: copy.replaces,
            created: moment(copy.created),
        };
        let mode = match (copy.mode_text.as_str(), copy.mode) {
            ("", mode) => u32::try_from(mode).ok().map(|mode| format!("{:o}", mode & 0o7777)),
            (text, _) => Some(text.to_owned()),
        };
        let flags = CopyFlags {
            from: Some(COPIED.to_owned()),
            chown: owner(copy.owner.as_ref())?,
            chmod: mode,
            exclude: copy.exclude.clone(),
            unpack: Some(copy.unpack),
            exact: Some(exact),
            ..CopyFlags::default()
        };
        let sources = vec![Source::Path(copy.source.clone())];
        Ok(StepOp::Copy { flags, sources, target: copy.target.clone(), is_add: copy.unpack })
    }
}

/// What an earlier action of the same operation gives: those stand behind the inputs.
fn earlier(own: &Operation, number: i64, done: &[StepId]) -> Result<Option<StepId>, Status> {
    let Some(behind) =
        usize::try_from(number).ok().and_then(|number| number.checked_sub(own.inputs.len()))
    else {
        return Ok(None);
    };
    let step = done.get(behind).copied();
    step.map(Some).ok_or_else(|| Status::invalid(format!("an action that needs {number}")))
}

fn change(action: &Action) -> Result<Change, Status> {
    let mode = |mode: i32| mode as u32 & 0o7777;
    Ok(match action {
        Action::File(file) => Change::File {
            path: file.path.clone(),
            mode: mode(file.mode),
            data: file.data.clone(),
            owner: owner(file.owner.as_ref())?,
            created: moment(file.created),
        },
        Action::Folder(folder) => Change::Folder {
            path: folder.path.clone(),
            mode: mode(folder.mode),
            parents: folder.parents,
            owner: owner(folder.owner.as_ref())?,
            created: moment(folder.created),
        },
        Action::Link(link) => Change::Link {
            path: link.path.clone(),
            target: link.target.clone(),
            owner: owner(link.owner.as_ref())?,
            created: moment(link.created),
        },
        Action::Remove(remove) => Change::Remove {
            path: remove.path.clone(),
            is_optional: remove.optional,
            is_pattern: remove.pattern,
        },
        Action::Copy(_) => unreachable!("copies are steps of their own"),
    })
}

/// A time in nanoseconds; what is before 1970 means none.
fn moment(nanos: i64) -> Option<Moment> {
    const SECOND: i64 = 1_000_000_000;
    (nanos >= 0).then_some((nanos / SECOND, (nanos % SECOND) as u32))
}

/// The input in whose accounts the names of an action's owner are looked up, if it has some.
fn names_looked_up_in(action: &Action) -> Result<Option<i64>, Status> {
    let owner = match action {
        Action::Copy(copy) => &copy.owner,
        Action::File(file) => &file.owner,
        Action::Folder(folder) => &folder.owner,
        Action::Link(link) => &link.owner,
        Action::Remove(_) => &None,
    };
    let Some(Owner { user, group }) = owner else { return Ok(None) };
    let named = |who: &Option<Who>| match who.as_ref().and_then(|who| who.by.as_ref()) {
        Some(WhoBy::Name(named)) => Some(named.input),
        _ => None,
    };
    match (named(user), named(group)) {
        (Some(one), Some(other)) if one != other => {
            let words = "an owner and a group of different inputs are not looked up";
            Err(Status::unsupported(words))
        }
        (one, other) => Ok(one.or(other)),
    }
}

/// An owner and a group, as `--chown` has them.
fn owner(owner: Option<&Owner>) -> Result<Option<String>, Status> {
    let name = |who: &Who| match &who.by {
        Some(WhoBy::Id(id)) => Ok(id.to_string()),
        Some(WhoBy::Name(named)) if named.name.contains(':') || named.name.is_empty() => {
            Err(Status::invalid(format!("{:?} is no name of an owner", named.name)))
        }
        Some(WhoBy::Name(named)) => Ok(named.name.clone()),
        None => Ok("0".to_owned()),
    };
    let Some(Owner { user, group }) = owner else { return Ok(None) };
    Ok(match (user, group) {
        (None, None) => None,
        (Some(user), None) => Some(name(user)?),
        (user, Some(group)) => {
            let user = user.as_ref().map_or_else(|| Ok("0".to_owned()), name)?;
            Some(format!("{user}:{}", name(group)?))
        }
    })
}
