//! `--verify`: a build done twice, with nothing remembered, and what came out otherwise.

use std::collections::BTreeSet;

use image::erofs::{IndexError, IndexInode};
use image::merged::{Change, Difference, Origin};
use spec::{ChainId, Platform};
use store::Tables;

use super::assemble::Image;
use super::output::Output;
use super::request::{BuildFailure, BuildInput, BuildRequest, Built, CacheUse};
use super::watch::BuildWatch;
use crate::Engine;
use crate::difference::{Side, diff_config};
use crate::error::{EngineError, Result};

/// A build that was done twice.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What the first gave.
    pub built: Built,
    /// What the second gave otherwise.
    pub divergences: Vec<Divergence>,
}

/// Something that two builds of the same gave differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The image's platform.
    pub platform: Platform,
    /// The instruction whose layer first had it; none for what is in the configuration.
    pub step: Option<String>,
    /// The file's path, or the configuration's field.
    pub what: String,
    /// How it differs: each attribute, with what it is in the first and the second.
    pub how: Vec<String>,
}

impl Engine {
    /// Builds twice, with nothing remembered, and compares. Only the first result goes anywhere.
    pub fn verify_build(
        &self,
        [first, second]: [BuildInput<'_>; 2],
        mut request: BuildRequest,
        watch: &dyn BuildWatch,
    ) -> Result<Verified, Box<BuildFailure>> {
        request.cache = CacheUse::None;
        request.cache_from.clear();
        // Sessions of their own: within one, nothing is done twice. Both hold what they made until
        // it is compared.
        let (one, mut two) = (self.build_session(watch)?, self.build_session(watch)?);
        // Steps are numbered among those of both.
        two.teller = one.teller.of("");
        let (built, before) = one.build_images(first, &request)?;
        request.outputs = vec![Output::Nothing];
        request.cache_to.clear();
        let (_, after) = two.build_images(second, &request)?;
        let mut divergences = Vec::new();
        let tables = self.store().tables().map_err(EngineError::from)?;
        for (before, after) in before.iter().zip(&after) {
            let pair = Pair { engine: self, tables: &tables, before, after };
            pair.compare(&mut divergences)?;
        }
        Ok(Verified { built, divergences })
    }
}

/// Two images of one platform.
struct Pair<'a> {
    engine: &'a Engine,
    tables: &'a Tables,
    before: &'a Image,
    after: &'a Image,
}

impl Pair<'_> {
    fn compare(&self, found: &mut Vec<Divergence>) -> Result<()> {
        if self.before.id == self.after.id {
            return Ok(());
        }
        let platform = self.before.platform();
        for (field, one, two) in diff_config(self.before.config.clone(), self.after.config.clone())
        {
            let (platform, how) = (platform.clone(), vec![format!("{one} -> {two}")]);
            found.push(Divergence { platform, step: None, what: field, how });
        }
        let mut named = BTreeSet::new();
        for (at, (one, two)) in self.stacks().into_iter().enumerate() {
            if one == two {
                continue;
            }
            let step = self.step(at);
            let count = found.len();
            self.files(one, two, &mut |path, how| {
                if named.insert(path.clone()) {
                    let (platform, step) = (platform.clone(), Some(step.clone()));
                    let what = String::from_utf8_lossy(&path).into_owned();
                    found.push(Divergence { platform, step, what, how });
                }
            })?;
            if found.len() == count && named.is_empty() {
                let how = vec!["the same files in another order".to_owned()];
                let (platform, step) = (platform.clone(), Some(step));
                found.push(Divergence { platform, step, what: "/".to_owned(), how });
            }
        }
        Ok(())
    }

    /// The stacks after each layer, of both; where one has more layers, only the whole ones.
    fn stacks(&self) -> Vec<(Option<ChainId>, Option<ChainId>)> {
        let chains = |image: &Image| ChainId::chain(&image.config.rootfs.diff_ids);
        let (one, two) = (chains(self.before), chains(self.after));
        match one.len() == two.len() {
            true => one.into_iter().map(Some).zip(two.into_iter().map(Some)).collect(),
            false => vec![(self.before.top, self.after.top)],
        }
    }

    /// The instruction that made a layer.
    fn step(&self, at: usize) -> String {
        let rows = self.before.config.history.iter().filter(|row| !row.empty_layer);
        let made = rows.map(|row| row.created_by.trim_end_matches(" # buildkit")).nth(at);
        made.unwrap_or_default().to_owned()
    }

    fn files(
        &self,
        one: Option<ChainId>,
        two: Option<ChainId>,
        each: &mut dyn FnMut(Vec<u8>, Vec<String>),
    ) -> Result<()> {
        let before = self.engine.stack_side(self.tables, one)?;
        let after = self.engine.stack_side(self.tables, two)?;
        let pairs = before.chains.iter().zip(&after.chains);
        let common = pairs.take_while(|(one, two)| one == two).count();
        let mut failed = None;
        before.compare(&after, common, true, &mut |difference| match differences(
            &before,
            &after,
            &difference,
        ) {
            Ok(how) => each(difference.path, how),
            Err(error) => drop(failed.get_or_insert(error)),
        })?;
        match failed {
            Some(error) => Err(EngineError::Read(std::io::Error::other(error))),
            None => Ok(()),
        }
    }
}

/// Each attribute of a file that differs.
fn differences(
    before: &Side,
    after: &Side,
    difference: &Difference,
) -> Result<Vec<String>, IndexError> {
    let (Some(one), Some(two)) = (&difference.before, &difference.after) else {
        return Ok(vec![match difference.change {
            Change::Added => "only in the second".to_owned(),
            _ => "only in the first".to_owned(),
        }]);
    };
    let (a, b) = (&one.inode, &two.inode);
    let (left, right) = (before.merged.layer(one.layer), after.merged.layer(two.layer));
    let mut how = Vec::new();
    let mut told = |name: &str, one: String, two: String| {
        if one != two {
            how.push(format!("{name} {one} -> {two}"));
        }
    };
    told("kind", kind(a).to_owned(), kind(b).to_owned());
    told("mode", format!("{:04o}", a.mode & 0o7777), format!("{:04o}", b.mode & 0o7777));
    told("owner", format!("{}:{}", a.uid, a.gid), format!("{}:{}", b.uid, b.gid));
    told("device", format!("{:?}", a.device), format!("{:?}", b.device));
    if a.is_file() && b.is_file() {
        told("size", a.size.to_string(), b.size.to_string());
    }
    if a.is_link() && b.is_link() {
        let text = |target: Vec<u8>| String::from_utf8_lossy(&target).into_owned();
        told("target", text(left.link_target(a)?), text(right.link_target(b)?));
    }
    told("time", time(one), time(two));
    if left.xattrs(a)? != right.xattrs(b)? {
        how.push("extended attributes".to_owned());
    }
    if a.is_file() && b.is_file() && (a.size != b.size || !before.has_same_bytes(after, one, two)) {
        how.push("content".to_owned());
    }
    Ok(how)
}

fn kind(inode: &IndexInode) -> &'static str {
    match () {
        () if inode.is_folder() => "folder",
        () if inode.is_file() => "file",
        () if inode.is_link() => "link",
        () if inode.device.is_some() => "device",
        () => "other",
    }
}

fn time(origin: &Origin) -> String {
    let (seconds, nanos) = origin.inode.mtime;
    spec::Timestamp::from_unix(seconds, nanos).to_string()
}
