//! Volumes with options are mounts: made when the first container needs them, gone with the last.
//!
//! Whoever uses one holds a shared lock on its document. Who gives it back and finds nobody else
//! holding it takes the mount away; a lock ends with its process, so nobody is counted who died.

use std::fs::File;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spec::bundle::Mount;
use sys::lock::Mode;

use super::{DOCUMENT, FILES, Volume};
use crate::Engine;
use crate::error::{EngineError, Result};

/// Before looking again at what somebody else does.
const PAUSE: Duration = Duration::from_millis(1);

/// A volume that is in use, with whatever is mounted there.
#[derive(Debug)]
pub(crate) struct VolumeUse {
    lock: File,
    /// Where its files are.
    mountpoint: PathBuf,
}

impl Engine {
    /// Begins to use a volume; nothing has to be held of one that is a plain folder.
    pub(crate) fn use_volume(&self, volume: &Volume) -> Result<Option<VolumeUse>> {
        let Some(mount) = wanted(volume)? else { return Ok(None) };
        let path = self.volume_folder(&volume.name).join(DOCUMENT);
        let lock = File::open(&path).map_err(EngineError::io("open", &path))?;
        let failed = || EngineError::io("lock", &path);
        let mountpoint = volume.mountpoint.clone();
        loop {
            // Whoever uses it holds this, so it is not waited for what is in use already.
            sys::lock::lock(&lock, Mode::Shared).map_err(failed())?;
            if is_mounted(&mountpoint)? {
                return Ok(Some(VolumeUse { lock, mountpoint }));
            }
            match sys::lock::try_lock(&lock, Mode::Exclusive).map_err(failed())? {
                true if is_mounted(&mountpoint)? => {}
                true => attach(&mount, &mountpoint)?,
                // Somebody else is about to mount it.
                false => std::thread::sleep(PAUSE),
            }
            // From one lock to the other somebody may take it away again.
        }
    }

    /// Takes the mount of a volume away if whoever used it was killed.
    pub(crate) fn release_volume(&self, name: &str) {
        let Ok(lock) = File::open(self.volume_folder(name).join(DOCUMENT)) else { return };
        release(&lock, &self.volume_folder(name).join(FILES));
    }

    /// Takes away what a killed process left mounted where a volume's files are. Its files may be
    /// the host's own: none of them may be taken for the volume's.
    pub(super) fn clear_mountpoint(&self, mountpoint: &Path) -> Result<()> {
        while is_mounted(mountpoint)? {
            sys::mount::detach(mountpoint).map_err(EngineError::io("unmount", mountpoint))?;
        }
        Ok(())
    }
}

impl Drop for VolumeUse {
    fn drop(&mut self) {
        release(&self.lock, &self.mountpoint);
    }
}

/// Takes a mount away that nobody else uses. What cannot be unmounted now is found by whoever uses
/// or removes the volume next.
fn release(lock: &File, mountpoint: &Path) {
    if let Ok(true) = sys::lock::try_lock(lock, Mode::Exclusive)
        && let Ok(true) = is_mounted(mountpoint)
    {
        let _ = sys::mount::detach(mountpoint);
    }
}

fn is_mounted(path: &Path) -> Result<bool> {
    match sys::mount::is_mounted(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        other => other.map_err(EngineError::io("look at", path)),
    }
}

/// What a volume's options ask for; nothing if it has none.
fn wanted(volume: &Volume) -> Result<Option<Mount>> {
    let Some(options) = &volume.options else { return Ok(None) };
    let text = |key: &str| options.get(key).cloned().unwrap_or_default();
    let (kind, source) = (text("type"), text("device"));
    if source.is_empty() {
        return Ok(None);
    }
    let words = text("o");
    let words = words.split(',').filter(|word| !word.is_empty());
    let is_remote = kind.starts_with("nfs") || kind == "cifs";
    let options = words.map(|word| match word.strip_prefix("addr=").filter(|_| is_remote) {
        // The kernel takes addresses alone.
        Some(host) => Ok(format!("addr={}", address(host)?)),
        None => Ok(word.to_owned()),
    });
    let options = options.collect::<Result<_>>()?;
    let destination = volume.mountpoint.display().to_string();
    Ok(Some(Mount { destination, kind, source, options, ..Mount::default() }))
}

fn address(host: &str) -> Result<String> {
    let found = (host, 0).to_socket_addrs().ok().and_then(|mut list| list.next());
    let found = found.ok_or_else(|| {
        EngineError::Start(format!("error resolving passed in network volume address: {host}"))
    })?;
    Ok(found.ip().to_string())
}

fn attach(mount: &Mount, mountpoint: &Path) -> Result<()> {
    let failed = |why: String| {
        EngineError::Start(format!(
            "error while mounting volume '{0}': failed to mount local volume: mount {1}:{0}, data: {2}: {why}",
            mountpoint.display(),
            mount.source,
            mount.options.join(","),
        ))
    };
    let made = runtime::launch::detached(mount).map_err(|error| failed(why(&error)))?;
    sys::mount::attach(made, mountpoint).map_err(|error| failed(error.to_string()))
}

/// An error with its causes, in one line.
fn why(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
