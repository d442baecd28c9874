//! Questions of clients that steer their builds: about the files of a result before it goes
//! anywhere, and about images.
//!
//! Names are looked up in the result alone: links lead nowhere out of it, and only ordinary files are
//! read.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;

use sys::fs::FileType;

use super::build::Work;
use super::gateway::{asked_of, look};
use super::messages::files::Stat;
use super::messages::gateway::{
    ReadFileRequest, ReadFileResponse, ReadFolderRequest, ReadFolderResponse, ResolveRequest,
    ResolveResponse, StatRequest, StatResponse,
};
use super::messages::ops::Platform;
use super::progress::Watch;
use crate::app::App;
use crate::wire::Status;

/// So much of a file goes in one answer: a message is not longer.
const MAX_BYTES: u64 = 15 << 20;
/// So many files of a folder are told.
const MAX_ENTRIES: usize = 50_000;
const NANOS: i64 = 1_000_000_000;

/// What an image says of itself.
pub(super) fn resolve(
    app: &App,
    build: &str,
    request: &ResolveRequest,
) -> Result<ResolveResponse, Status> {
    let asked = asked_of(app, build)?;
    let watch = Watch::new(&asked.reference, &|_| (), &|| false);
    let work = Work::new(app, &asked, &watch)?;
    let wanted = engine::BuildRequest { pull: request.mode == "pull", ..Default::default() };
    let platform = request.platform.as_ref().map(Platform::read).transpose()?.flatten();
    let session = work.engine.build_session(&watch)?;
    let (digest, config) = session.base(&request.name, platform.as_ref(), &wanted)?;
    Ok(ResolveResponse {
        digest: digest.to_string(),
        config: config.to_bytes(),
        name: request.name.clone(),
    })
}

/// What is in a file of a result.
pub(super) fn read_file(
    app: &App,
    build: &str,
    request: &ReadFileRequest,
    is_gone: &(dyn Fn() -> bool + Sync),
) -> Result<ReadFileResponse, Status> {
    look(app, build, &request.reference, is_gone, |root| {
        let failed = failed("open", &request.path);
        let mut file = sys::fs::file_in_root(root, inner(&request.path)).map_err(&failed)?;
        if !file.metadata().map_err(&failed)?.is_file() {
            return Err(Status::invalid(format!("{} is no ordinary file", request.path)));
        }
        let range = request.range.unwrap_or_default();
        let offset = u64::try_from(range.offset).unwrap_or(0);
        file.seek(SeekFrom::Start(offset)).map_err(&failed)?;
        let wanted = u64::try_from(range.length).ok().filter(|length| *length > 0);
        let limit = wanted.unwrap_or(u64::MAX).min(MAX_BYTES + 1);
        let mut data = Vec::new();
        file.take(limit).read_to_end(&mut data).map_err(&failed)?;
        if data.len() as u64 > MAX_BYTES {
            let words = format!("{} is larger than a message: read it in ranges", request.path);
            return Err(Status::invalid(words));
        }
        Ok(ReadFileResponse { data })
    })
}

/// What is in a folder of a result.
pub(super) fn read_folder(
    app: &App,
    build: &str,
    request: &ReadFolderRequest,
    is_gone: &(dyn Fn() -> bool + Sync),
) -> Result<ReadFolderResponse, Status> {
    look(app, build, &request.reference, is_gone, |root| {
        let failed = failed("readdir", &request.path);
        let folder = sys::fs::folder_in_root(root, inner(&request.path)).map_err(&failed)?;
        let mut names = sys::fs::names(&folder).map_err(&failed)?;
        names.sort_by(|one, other| one.0.cmp(&other.0));
        let mut entries = Vec::new();
        for (name, _) in names {
            let is_meant = request.pattern.is_empty()
                || spec::path_match(&request.pattern, &String::from_utf8_lossy(&name))
                    .map_err(|error| Status::invalid(format!("{error}: {}", request.pattern)))?;
            if is_meant && entries.len() < MAX_ENTRIES {
                entries.push(told(&folder, &name).map_err(&failed)?);
            }
        }
        Ok(ReadFolderResponse { entries })
    })
}

/// What a file of a result is like.
pub(super) fn stat(
    app: &App,
    build: &str,
    request: &StatRequest,
    is_gone: &(dyn Fn() -> bool + Sync),
) -> Result<StatResponse, Status> {
    look(app, build, &request.reference, is_gone, |root| {
        let failed = failed("lstat", &request.path);
        let path = request.path.trim_matches('/');
        // Its own link is told of, not what that leads to.
        let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
        let name = if name.is_empty() { "." } else { name };
        let folder = sys::fs::folder_in_root(root, inner(above)).map_err(&failed)?;
        if name == ".." {
            return Err(Status::invalid(format!("{:?} is no name", request.path)));
        }
        Ok(StatResponse { stat: Some(told(&folder, name.as_bytes()).map_err(&failed)?) })
    })
}

/// A file as it is told.
fn told(folder: &OwnedFd, name: &[u8]) -> io::Result<Stat> {
    let stat = sys::fs::stat(folder, name)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let link = match kind {
        FileType::Symlink => sys::fs::read_link(folder, name)?,
        _ => Vec::new(),
    };
    Ok(Stat {
        path: name.to_vec(),
        mode: Stat::mode_of(stat.st_mode),
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: if kind == FileType::RegularFile { stat.st_size } else { 0 },
        modified: stat.st_mtime * NANOS + stat.st_mtime_nsec as i64,
        link,
        major: i64::from(rustix::fs::major(stat.st_rdev)),
        minor: i64::from(rustix::fs::minor(stat.st_rdev)),
        ..Stat::default()
    })
}

/// A path from the top.
fn inner(path: &str) -> &str {
    let path = path.trim_start_matches('/');
    if path.is_empty() { "." } else { path }
}

fn failed(doing: &'static str, path: &str) -> impl Fn(io::Error) -> Status {
    let path = path.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::NotFound => {
            Status::missing(format!("{doing} {path}: no such file or directory"))
        }
        _ => Status::invalid(format!("{doing} {path}: {error}")),
    }
}
