//! `RUN --mount`: what a command sees only while it runs.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ::build::config::{SCRIPTS, absolute};
use ::build::graph::Step;
use ::build::ignore::Ignore;
use ::build::instruction::{CopyFlags, Mount, MountKind, Run, Sharing};
use ::build::key::{About, Key, Listing};
use ::build::scope::Scope;
use ::build::solver::Inputs;
use serde_json::value::RawValue;
use spec::bundle;
use spec::{ChainId, Digest, Timestamp};
use store::{Lasting, StepRecord};
use sys::lock::{Mode, lock, try_lock};

use super::agent::{Access, Listening};
use super::below::Below;
use super::copy::{self, Gathered, Placing};
use super::fresh::UsedCache;
use super::layers;
use super::run::Scratch;
use super::work::{Builder, Made, Wanted, parent, shown};
use crate::container::StepMount;
use crate::error::{EngineError, Result};

/// What is mounted, and what must live as long as that.
pub(super) struct Mounts<'a> {
    /// What is mounted.
    pub(super) list: Vec<StepMount>,
    /// Variables that hold secrets.
    pub(super) env: Vec<String>,
    /// Caches that the command may write to.
    pub(super) caches: Vec<UsedCache>,
    scratches: Vec<Scratch<'a>>,
    /// Which of those hold results, each with the stack it is on.
    results: Vec<(usize, Option<ChainId>)>,
    /// Caches that nobody else may use now.
    _locks: Vec<File>,
    /// Sockets that stand for those of agents.
    listening: Vec<Listening>,
    own_folder: Option<TempFolder>,
}

/// What an agent's socket may be used by, where it is not the agent's own.
const AGENT_MODE: u32 = 0o600;
/// Where secrets are seen unless told otherwise.
const SECRETS: &str = "/run/secrets";
/// Where an agent's socket is seen unless told otherwise.
const AGENTS: &str = "/run/buildkit/ssh_agent";

impl Builder<'_> {
    /// Adds what the mounts of a command depend on.
    pub(super) fn mounts_key(
        &self,
        mut key: Key,
        step: &Step,
        run: &Run,
        scope: &Scope,
        inputs: &Inputs<Made>,
        wanted: &mut Wanted,
    ) -> Result<Key> {
        let mut sources = inputs.sources.iter();
        let mut listing = Listing::default();
        for mount in &run.mounts {
            let mount = self.expanded(mount, step, scope)?;
            let from = mount.from.as_ref().and_then(|_| sources.next());
            let target = target_of(&mount, parent(inputs))?;
            let source = mount.source.as_deref().unwrap_or_default();
            let how = format!(
                "{} {source} {} {:?} {:?}",
                mount.kind.as_str(),
                if mount.read_only { "ro" } else { "rw" },
                mount.id,
                mount.env
            );
            let how = if mount.is_result { format!("{how} result") } else { how };
            key = key.with(About::Mount, &target, how + &options(&mount));
            match (mount.kind, from) {
                (MountKind::Bind | MountKind::Cache, Some(made)) if made.folder.is_none() => {
                    let name = mount.from.as_deref().unwrap_or_default();
                    key = key.with(About::Source, name, shown(made.top));
                }
                (MountKind::Bind, _) | (MountKind::Cache, Some(_)) => {
                    let place = from.and_then(|made| made.folder.as_ref());
                    let place = place.unwrap_or(&self.context);
                    let source = if source.is_empty() { "." } else { source };
                    for mut chosen in place.choose(source, &Ignore::default())? {
                        // What the command sees is chosen when it runs.
                        chosen.list(&mut listing, &mut 0)?;
                    }
                }
                _ => {}
            }
        }
        if !listing.lines.is_empty() {
            key = key.with(About::Files, "", listing.digest().to_string());
            wanted.listing = Some(listing);
        }
        Ok(key)
    }

    /// A mount with its variables replaced by what they hold.
    fn expanded(&self, mount: &Mount, step: &Step, scope: &Scope) -> Result<Mount> {
        let expand = |word: &str| scope.expand(word, step.span, self.escape);
        Ok(mount.expanded(step.span, &expand)?)
    }
}

impl<'a> Mounts<'a> {
    /// Opens and makes what a command is to see.
    pub(super) fn prepare(
        builder: &'a Builder<'a>,
        step: &Step,
        run: &Run,
        scope: &Scope,
        script: Option<(String, String)>,
        inputs: &Inputs<Made>,
    ) -> Result<Mounts<'a>> {
        let (list, env, caches, scratches, results, _locks) = Default::default();
        let (listening, own_folder) = Default::default();
        let mut mounts =
            Mounts { list, env, caches, scratches, results, _locks, listening, own_folder };
        if let Some((name, content)) = script {
            let folder = mounts.folder(builder)?.join("scripts");
            make_private(&folder)?;
            write(&folder.join(&name), content.as_bytes(), 0o755, (0, 0))?;
            fs::set_permissions(&folder, PermissionsExt::from_mode(0o755))
                .map_err(EngineError::io("change", &folder))?;
            mounts.list.push(bind(SCRIPTS, path_text(&folder), true));
        }
        let mut sources = inputs.sources.iter();
        for mount in &run.mounts {
            let mount = builder.expanded(mount, step, scope)?;
            let from = mount.from.as_ref().and_then(|_| sources.next());
            let target = target_of(&mount, parent(inputs))?;
            match mount.kind {
                MountKind::Bind => mounts.bind(builder, &mount, &target, from)?,
                MountKind::Cache => mounts.cache(builder, &mount, &target, from)?,
                MountKind::Tmpfs => mounts.list.push(tmpfs(&mount, &target)),
                MountKind::Secret => mounts.secret(builder, &mount, &target)?,
                MountKind::Ssh => mounts.agent(builder, &mount, &target)?,
            }
        }
        Ok(mounts)
    }

    /// A folder for what lives only as long as the command.
    fn folder(&mut self, builder: &Builder<'_>) -> Result<PathBuf> {
        if let Some(folder) = &self.own_folder {
            return Ok(folder.0.clone());
        }
        let random = sys::host::random_id().map_err(EngineError::io("read", "/proc"))?;
        let path = builder.store().paths().run().join("builds").join(random);
        make_private(&path)?;
        self.own_folder = Some(TempFolder(path.clone()));
        Ok(path)
    }

    /// Files of the context, of a stage or of an image. Of the context a layer is made first: then
    /// what is ignored is not seen, and nothing that the command does reaches the host.
    fn bind(
        &mut self,
        builder: &'a Builder<'a>,
        mount: &Mount,
        target: &str,
        from: Option<&Made>,
    ) -> Result<()> {
        let source = mount.source.as_deref().unwrap_or("/");
        let source = absolute("/", source);
        let (top, source) = match from.filter(|made| made.folder.is_none()) {
            Some(made) => (made.top, source),
            None => {
                let place = from.and_then(|made| made.folder.as_ref()).unwrap_or(&builder.context);
                let chosen = place.choose(&source, &Ignore::default())?;
                let is_file = chosen.iter().any(|chosen| !chosen.is_folder);
                let gathered = Gathered { chosen, ..Gathered::default() };
                let name = source.rsplit('/').next().unwrap_or_default();
                let seen = if is_file { format!("/files/{name}") } else { "/files".to_owned() };
                (Some(builder.keep_apart(gathered)?), seen)
            }
        };
        let path = builder.real_path(top, &source)?;
        let root = match mount.read_only {
            true => layers::view(builder.store(), top)?,
            false => {
                // What is written is thrown away.
                let scratch = Scratch::new(builder.store(), builder.lease, top)?;
                let mounted =
                    builder.store().mount_snapshot(&scratch.snapshot, Lasting::ThrownAway)?;
                if mount.is_result {
                    self.results.push((self.scratches.len(), top));
                }
                self.scratches.push(scratch);
                mounted
            }
        };
        let mut bound = bind(target, String::new(), mount.read_only);
        bound.opened = Some((root, path));
        self.list.push(bound);
        Ok(())
    }

    /// A folder that outlives the build.
    fn cache(
        &mut self,
        builder: &Builder<'_>,
        mount: &Mount,
        target: &str,
        from: Option<&Made>,
    ) -> Result<()> {
        let id = mount.id.as_deref().unwrap_or(target);
        let namespace = builder.request.arguments.get("BUILDKIT_CACHE_MOUNT_NS");
        let id = [namespace.map_or("", String::as_str), id].join("/");
        let all = builder.store().build_folder().join("mounts");
        let (folder, held) = held_cache(&all, &id, mount.sharing)?;
        let files = folder.join("files");
        let is_new = !files.exists() && begin(builder, &folder, mount, from)?;
        if !mount.read_only {
            self.caches.push(UsedCache { folder, is_new });
        }
        self._locks.push(held);
        self.list.push(bind(target, path_text(&files), mount.read_only));
        Ok(())
    }

    /// Takes in what the command has written to mounts whose contents are results. Its own mounts
    /// ended with it.
    pub(super) fn written(
        self,
        builder: &'a Builder<'a>,
        epoch: i64,
    ) -> Result<Vec<Option<ChainId>>> {
        let Mounts { scratches, results, .. } = self;
        let take = |(at, below): (usize, Option<ChainId>)| {
            let snapshot = &scratches[at].snapshot;
            let unpacked = builder.store().unpack_snapshot(builder.lease, snapshot, Some(epoch))?;
            Ok(builder.adopt(unpacked, below)?.0)
        };
        results.into_iter().map(take).collect()
    }

    fn secret(&mut self, builder: &Builder<'_>, mount: &Mount, target: &str) -> Result<()> {
        let id = secret_id(mount);
        let Some(secret) = builder.request.secret(&id)? else {
            return match mount.required {
                true => Err(EngineError::Refused(format!("secret {id}: not found"))),
                false => Ok(()),
            };
        };
        if let Some(name) = &mount.env {
            self.env.push(format!("{name}={}", String::from_utf8_lossy(&secret)));
            if mount.target.is_none() {
                return Ok(());
            }
        }
        let path = self.folder(builder)?.join(format!("secret-{}", self.list.len()));
        let owner = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
        write(&path, &secret, mount.mode.unwrap_or(0o400), owner)?;
        self.list.push(bind(target, path_text(&path), true));
        Ok(())
    }

    fn agent(&mut self, builder: &Builder<'_>, mount: &Mount, target: &str) -> Result<()> {
        let id = mount.id.as_deref().unwrap_or("default");
        let Some(socket) = builder.request.agent(id)? else {
            return match mount.required {
                true => Err(EngineError::Refused(format!("unset ssh forward key {id}"))),
                false => Ok(()),
            };
        };
        let socket = match (mount.uid, mount.gid, mount.mode) {
            (None, None, None) => socket,
            // The agent's socket is the user's own and stays as it is: the command gets another.
            (uid, gid, mode) => {
                let folder = self.folder(builder)?;
                let name = format!("agent-{}", self.list.len());
                let owner = (uid.unwrap_or(0), gid.unwrap_or(0));
                let access = Access { owner, mode: mode.unwrap_or(AGENT_MODE) };
                self.listening.push(Listening::forward(&folder, &name, access, socket)?);
                folder.join(name)
            }
        };
        self.list.push(bind(target, path_text(&socket), false));
        self.env.push(format!("SSH_AUTH_SOCK={target}"));
        Ok(())
    }
}

impl Builder<'_> {
    /// A path in a tree with all its links followed; it must be there.
    fn real_path(&self, top: Option<ChainId>, path: &str) -> Result<PathBuf> {
        let view = self.view(top)?;
        let mut below = Below::new(&view);
        let real = below.resolve(path.trim_start_matches('/').as_bytes())?;
        match below.kind(&real)? {
            Some(_) => Ok(PathBuf::from(OsString::from_vec(real))),
            None => Err(EngineError::Refused(format!("{path:?}: not found"))),
        }
    }

    /// Files as the only layer of a stack, in its folder `files`. It is part of no image, so they
    /// have the times that they have in the context: commands may compare them with what they made
    /// before.
    fn keep_apart(&self, mut gathered: Gathered) -> Result<ChainId> {
        for item in gathered.chosen.iter_mut().flat_map(|chosen| chosen.items_mut()) {
            item.stat.keeps_time = true;
        }
        let flags = CopyFlags::default();
        let single = gathered.chosen.iter().any(|chosen| !chosen.is_folder);
        let target = if single { "/files/" } else { "/files" };
        let (owner, created, epoch) = (None, None, i64::MAX);
        let placing = Placing { target, owner, flags: &flags, epoch, created };
        let nothing = self.view(None)?;
        let plan = copy::Plan::new(gathered, placing, Below::new(&nothing))?;
        let unpacked = layers::written(self.store(), self.lease, |out| plan.write(out))?;
        let (chain, layer) = layers::adopt(self.store(), self.lease, unpacked, None)?;
        // Remembered as what steps give is, so that it goes with that.
        let record = StepRecord {
            top: Some(chain),
            layer: Some(layer),
            text: "files bound into a command".to_owned(),
            made: Timestamp::now().unix_seconds(),
            rest: RawValue::NULL.to_owned(),
        };
        self.store().remember_step(&Digest::of(format!("bound {chain}").as_bytes()), &record)?;
        Ok(chain)
    }
}

/// What a command sees of how a mount is made, where that is said.
fn options(mount: &Mount) -> String {
    let Mount { mode, uid, gid, size_bytes, .. } = mount;
    let said = [
        mode.map(|mode| format!(" mode={mode:o}")),
        uid.map(|uid| format!(" uid={uid}")),
        gid.map(|gid| format!(" gid={gid}")),
        size_bytes.map(|bytes| format!(" size={bytes}")),
    ];
    said.into_iter().flatten().collect()
}

/// Where a mount is seen.
fn target_of(mount: &Mount, below: &Made) -> Result<String> {
    let folder = below.configured.working_dir();
    let given = mount.target.as_deref().map(|target| absolute(folder, target));
    match (mount.kind, given) {
        (_, Some(target)) if target != "/" => Ok(target),
        (MountKind::Secret, None) => Ok(format!("{SECRETS}/{}", secret_id(mount))),
        (MountKind::Ssh, None) => Ok(format!("{AGENTS}.0")),
        (kind, _) => {
            let words = format!("invalid mount target {:?} for a {} mount", "/", kind.as_str());
            Err(EngineError::Refused(words))
        }
    }
}

/// A secret's id: its own, or the last name of where it is seen.
fn secret_id(mount: &Mount) -> String {
    let last = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
    let id = mount.id.clone().or_else(|| mount.source.clone());
    id.or_else(|| mount.target.as_ref().map(last)).unwrap_or_default()
}

/// The folder of a cache, and what keeps others from it as far as they are to be kept.
pub(super) fn held_cache(all: &Path, id: &str, sharing: Sharing) -> Result<(PathBuf, File)> {
    for number in 0.. {
        let name = match number {
            0 => Digest::of(id.as_bytes()).hex(),
            number => format!("{}-{number}", Digest::of(id.as_bytes()).hex()),
        };
        let folder = all.join(name);
        make_private(&folder)?;
        let path = folder.join("lock");
        let io = |doing| EngineError::io(doing, path.clone());
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(io("open"))?;
        let id_path = folder.join("id");
        if !id_path.exists() {
            fs::write(&id_path, id).map_err(EngineError::io("write", &id_path))?;
        }
        match sharing {
            Sharing::Shared => lock(&file, Mode::Shared).map_err(io("lock"))?,
            Sharing::Locked => lock(&file, Mode::Exclusive).map_err(io("lock"))?,
            Sharing::Private if !try_lock(&file, Mode::Exclusive).map_err(io("lock"))? => continue,
            Sharing::Private => {}
        }
        // Only the clean-up asks when it was last of use.
        let _ = file.set_modified(SystemTime::now());
        return Ok((folder, file));
    }
    unreachable!("some number is free")
}

/// Begins a cache that is not there, unless somebody else who shares it has just done so. Says
/// whether it was us.
fn begin(builder: &Builder<'_>, folder: &Path, mount: &Mount, from: Option<&Made>) -> Result<bool> {
    let path = folder.join("begin");
    let file = File::create(&path).map_err(EngineError::io("create", &path))?;
    lock(&file, Mode::Exclusive).map_err(EngineError::io("lock", &path))?;
    let files = folder.join("files");
    let is_new = !files.exists();
    if is_new {
        fill(builder, &files, mount, from)?;
    }
    Ok(is_new)
}

/// Begins a cache: empty, or with the files that it is to begin with.
fn fill(builder: &Builder<'_>, files: &Path, mount: &Mount, from: Option<&Made>) -> Result<()> {
    let aside = files.with_extension("new");
    let _ = fs::remove_dir_all(&aside);
    make_private(&aside)?;
    if let Some(made) = from {
        let source = absolute("/", mount.source.as_deref().unwrap_or("/"));
        let (top, source) = match &made.folder {
            // Of a context what is ignored is not seen, so that a layer is made of it first.
            Some(place) => {
                let chosen = place.choose(&source, &Ignore::default())?;
                let gathered = Gathered { chosen, ..Gathered::default() };
                (Some(builder.keep_apart(gathered)?), "/files".to_owned())
            }
            None => (made.top, source),
        };
        let view = builder.view(top)?;
        let folder = sys::fs::folder_in_root(&*view, source.as_str());
        let folder = folder.map_err(EngineError::io("open", &source))?;
        let target = sys::fs::open_folder(&aside).map_err(EngineError::io("open", &aside))?;
        image::copy::copy_tree(folder, target).map_err(EngineError::io("fill", &aside))?;
    }
    let mode = mount.mode.unwrap_or(0o755);
    fs::set_permissions(&aside, PermissionsExt::from_mode(mode))
        .and_then(|()| chown(&aside, mount.uid.or(Some(0)), mount.gid.or(Some(0))))
        .and_then(|()| fs::rename(&aside, files))
        .map_err(EngineError::io("make", files))
}

fn bind(target: &str, source: String, read_only: bool) -> StepMount {
    let access = if read_only { "ro" } else { "rw" };
    let mount = bundle::Mount {
        destination: target.to_owned(),
        kind: "bind".to_owned(),
        source,
        options: ["rbind", access, "rprivate"].map(str::to_owned).to_vec(),
        ..bundle::Mount::default()
    };
    StepMount { mount, opened: None }
}

fn tmpfs(mount: &Mount, target: &str) -> StepMount {
    let mut options = ["nosuid", "nodev"].map(str::to_owned).to_vec();
    options.extend(mount.size_bytes.map(|bytes| format!("size={bytes}")));
    let mount = bundle::Mount {
        destination: target.to_owned(),
        kind: "tmpfs".to_owned(),
        source: "tmpfs".to_owned(),
        options,
        ..bundle::Mount::default()
    };
    StepMount { mount, opened: None }
}

fn write(path: &Path, bytes: &[u8], mode: u32, (uid, gid): (u32, u32)) -> Result<()> {
    fs::write(path, bytes)
        .and_then(|()| fs::set_permissions(path, PermissionsExt::from_mode(mode)))
        .and_then(|()| chown(path, Some(uid), Some(gid)))
        .map_err(EngineError::io("write", path))
}

pub(super) fn make_private(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(EngineError::io("create", folder))
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

/// A folder that goes when it is dropped.
pub(super) struct TempFolder(pub(super) PathBuf);

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
