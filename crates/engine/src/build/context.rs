//! A context opened: its files, its Dockerfile, and what is left out.

use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::build::graph::Graph;
use ::build::ignore::{Ignore, file_names};
use image::codec::Codec;
use image::stream::Peeked;
use spec::ChainId;
use store::{Expected, Lease};

use super::git::{GIT_TOKEN, GitUrl};
use super::hashes::Hashes;
use super::layout::InLayout;
use super::place::{ContextFacts, Place};
use super::request::{BuildInput, BuildRequest, ContextSource, DockerfileSource};
use super::session::BuildSession;
use super::tell::Teller;
use super::watch::{BuildWatch, News};
use crate::Engine;
use crate::error::{EngineError, Result};

/// A context and the file that says what is made of it.
pub(super) struct Opened {
    pub(super) place: Arc<Place>,
    /// The Dockerfile's name, for messages.
    pub(super) name: String,
    /// What it says.
    pub(super) text: String,
    /// The steps, where no Dockerfile says them.
    pub(super) graph: Option<Graph>,
    /// When the files are of, in seconds since 1970, if a repository or the web says so.
    pub(super) time: Option<i64>,
}

/// What a Dockerfile is called.
pub(super) const USUAL: &str = "Dockerfile";
/// How much tells a tar from a Dockerfile.
const PEEK_BYTES: usize = 512;
/// How zip archives begin, which docker does not take either.
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";
/// No Dockerfile and no list of what is ignored is longer.
const TEXT_BYTES: u64 = 16 << 20;
/// Where a tar's header says what it is.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// The same in small letters, where only that is there.
const SMALL: &str = "dockerfile";

/// What the Dockerfile of a context is called.
fn usual(is_there: impl Fn(&str) -> bool) -> &'static str {
    if !is_there(USUAL) && is_there(SMALL) { SMALL } else { USUAL }
}

/// Opens the context of a build.
pub(super) fn open(
    session: &BuildSession<'_>,
    request: &BuildRequest,
    input: BuildInput<'_>,
    teller: &Teller<'_>,
) -> Result<Opened> {
    let (engine, lease) = (session.engine, &session.lease);
    let BuildInput { context, dockerfile } = input;
    let dockerfile = match dockerfile {
        DockerfileSource::Graph(graph) => {
            let place = of_stack(engine, None, Ignore::default())?;
            let (name, text) = Default::default();
            return Ok(Opened { place, name, text, graph: Some(*graph), time: None });
        }
        other => other,
    };
    match context {
        ContextSource::Nowhere => {
            Err(EngineError::Input("a Dockerfile is built with a context".to_owned()))
        }
        ContextSource::Folder(folder) => of_folder(engine, &folder, dockerfile, teller),
        ContextSource::Sent { folder, ignored } => of_sent(engine, &folder, &ignored, dockerfile),
        ContextSource::Reader(reader) => of_reader(engine, lease, reader, dockerfile, teller),
        ContextSource::Url(url) => {
            if let Some(url) = GitUrl::parse(&url)? {
                return of_repository(session, request, &url, dockerfile, teller);
            }
            let fetched = engine.settings().direct().fetch(&url)?;
            let time = fetched.last_modified.as_deref().and_then(registry::http_date);
            let time = time.and_then(|seconds| i64::try_from(seconds).ok());
            let opened = of_reader(engine, lease, fetched.reader, dockerfile, teller)?;
            Ok(Opened { time, ..opened })
        }
    }
}

fn of_folder(
    engine: &Engine,
    folder: &Path,
    dockerfile: DockerfileSource<'_>,
    teller: &Teller<'_>,
) -> Result<Opened> {
    let folder =
        fs::canonicalize(folder).ok().filter(|folder| folder.is_dir()).ok_or_else(|| {
            let words = format!("unable to prepare context: path {:?} not found", folder.display());
            EngineError::Input(words)
        })?;
    let path = match &dockerfile {
        DockerfileSource::Path(path) => path.clone(),
        _ => folder.join(usual(|name| folder.join(name).exists())),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let step = teller.begin(&format!("[internal] load build definition from {name}"));
    let text = match dockerfile {
        DockerfileSource::Reader(reader) => text_of(reader),
        _ => fs::File::open(&path).and_then(text_of),
    };
    let text = step.end(text.map_err(|error| unreadable(&path, &error)))?;
    let ignore = ignore_beside(&path, &folder)?;
    let root = sys::fs::open_folder(&folder).map_err(EngineError::io("open", &folder))?;
    let hashes = Hashes::read(&engine.store().build_folder().join("contexts"), &folder);
    let context = Some(ContextFacts { ignore, hashes, time: None });
    let place = Arc::new(Place { root, name: "context".to_owned(), context });
    Ok(Opened { place, name, text, graph: None, time: None })
}

/// A folder from a stranger: its own links lead nowhere else.
fn of_sent(
    engine: &Engine,
    folder: &Path,
    ignored: &str,
    dockerfile: DockerfileSource<'_>,
) -> Result<Opened> {
    let root = sys::fs::open_folder(folder).map_err(EngineError::io("open", folder))?;
    let Definition { name, text, .. } = definition(&root, dockerfile)?;
    let hashes = Hashes::read(&engine.store().build_folder().join("contexts"), folder);
    let context = Some(ContextFacts { ignore: Ignore::parse(ignored)?, hashes, time: None });
    let place = Arc::new(Place { root, name: "context".to_owned(), context });
    Ok(Opened { place, name, text, graph: None, time: None })
}

/// What is left out of a folder: what a file beside the Dockerfile says, or else one in the folder.
fn ignore_beside(dockerfile: &Path, folder: &Path) -> Result<Ignore> {
    let name = dockerfile.file_name().unwrap_or_default().to_string_lossy();
    let [own, usual] = file_names(&name);
    let beside = dockerfile.parent().unwrap_or(folder).join(own);
    for path in [beside, folder.join(usual)] {
        match fs::File::open(&path).and_then(text_of) {
            Ok(text) => return Ok(Ignore::parse(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(EngineError::io("read", path)(error)),
        }
    }
    Ok(Ignore::default())
}

fn of_reader<'a>(
    engine: &Engine,
    lease: &Lease,
    reader: Box<dyn Read + Send + 'a>,
    dockerfile: DockerfileSource<'_>,
    teller: &Teller<'_>,
) -> Result<Opened> {
    let mut peeked = Peeked::new(reader, PEEK_BYTES).map_err(EngineError::Read)?;
    if peeked.head().starts_with(ZIP_MAGIC) {
        let words = "the context is a zip archive: an archive must be a tar, compressed or not";
        return Err(EngineError::Input(words.to_owned()));
    }
    if !is_tar(peeked.head()) {
        let step = teller.begin("[internal] load build definition from Dockerfile");
        let text = text_of(&mut peeked).map_err(|error| unreadable(Path::new(USUAL), &error));
        let text = step.end(text)?;
        let place = of_stack(engine, None, Ignore::default())?;
        return Ok(Opened { place, name: USUAL.to_owned(), text, graph: None, time: None });
    }
    let step = teller.begin("[internal] load remote build context");
    let top = step.end(keep(engine, lease, &mut peeked))?;
    let files = of_stack(engine, Some(top), Ignore::default())?;
    let Definition { name, text, ignored } = definition(&files.root, dockerfile)?;
    let place = match ignored {
        Some(said) => of_stack(engine, Some(top), Ignore::parse(&said)?)?,
        None => files,
    };
    Ok(Opened { place, name, text, graph: None, time: None })
}

/// A Dockerfile, and what it or its folder says is left out.
struct Definition {
    name: String,
    text: String,
    ignored: Option<String>,
}

/// Reads the Dockerfile of a tree. Its own name leads nowhere else.
fn definition(root: &OwnedFd, dockerfile: DockerfileSource<'_>) -> Result<Definition> {
    let path = match &dockerfile {
        DockerfileSource::Path(path) => path.clone(),
        _ => PathBuf::from(usual(|name| sys::fs::file_in_root(root, name).is_ok())),
    };
    let read = |path: &Path| sys::fs::file_in_root(root, path).and_then(text_of);
    let text = match dockerfile {
        DockerfileSource::Reader(reader) => text_of(reader),
        _ => read(&path),
    };
    let text = text.map_err(|error| unreadable(&path, &error))?;
    let [own, usual] = file_names(&path.to_string_lossy());
    let ignored = read(Path::new(&own)).or_else(|_| read(Path::new(&usual))).ok();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Definition { name, text, ignored })
}

/// A repository's files. Nothing in it leads out of it, the Dockerfile's own name included.
fn of_repository(
    session: &BuildSession<'_>,
    request: &BuildRequest,
    url: &GitUrl,
    dockerfile: DockerfileSource<'_>,
    teller: &Teller<'_>,
) -> Result<Opened> {
    let step = teller.begin(&format!("[internal] load git source {}", url.shown()));
    let fetched = session.checkout(url, request);
    if let Ok(checkout) = &fetched {
        step.note(&checkout.commit);
    }
    let checkout = step.end(fetched)?;
    let asked = request.arguments.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR").map(String::as_str);
    let keep = url.keep_git_dir.unwrap_or(matches!(asked, Some("1" | "true")));
    let all = checkout.place(url, keep, "")?;
    let Definition { name, text, ignored } = definition(&all.root, dockerfile)?;
    let place = checkout.place(url, keep, &ignored.unwrap_or_default())?;
    Ok(Opened { place, name, text, graph: None, time: Some(checkout.time) })
}

/// The files of a named context that is an address: of a repository, or of a tar on the web.
pub(super) fn remote(
    session: &BuildSession<'_>,
    request: &BuildRequest,
    address: &str,
) -> Result<Arc<Place>> {
    if let Some(url) = GitUrl::parse(address)? {
        let checkout = session.checkout(&url, request)?;
        return checkout.place(&url, url.keep_git_dir.unwrap_or(false), "");
    }
    let (mut reader, _) = crate::fetch(session.engine.settings(), address)?;
    let top = keep(session.engine, &session.lease, &mut reader)?;
    of_stack(session.engine, Some(top), Ignore::default())
}

/// Nobody watches.
struct Nobody;

impl BuildWatch for Nobody {
    fn tell(&self, _: News<'_>) {}
}

/// Looks into the files of a repository; nothing if an address is none.
pub(crate) fn with_repository<T>(
    engine: &Engine,
    address: &str,
    token: Option<&str>,
    look: impl FnOnce(&OwnedFd) -> Result<T>,
) -> Result<Option<T>> {
    let Some(url) = GitUrl::parse(address)? else { return Ok(None) };
    let secret = |token: &str| (GIT_TOKEN.to_owned(), token.as_bytes().to_vec());
    let secrets = token.map(secret).into_iter().collect();
    let session = engine.build_session(&Nobody)?;
    let request = BuildRequest { secrets, ..BuildRequest::default() };
    let place = session.checkout(&url, &request)?.place(&url, false, "")?;
    look(&place.root).map(Some)
}

/// Whether a context is an address, not a path of this machine.
pub fn is_remote_context(text: &str) -> bool {
    let is_web = text.starts_with("http://") || text.starts_with("https://");
    // What is wrong about an address is told when it is fetched.
    is_web || !matches!(GitUrl::parse(text), Ok(None))
}

/// Whether an address is a repository's.
pub fn is_repository(text: &str) -> bool {
    matches!(GitUrl::parse(text), Ok(Some(_)))
}

/// The id of the secret that opens a repository, for its host and no other, if a context is of that
/// repository.
pub fn repository_token(repository: &str, context: &str) -> Option<String> {
    let parsed = |text| GitUrl::parse(text).ok().flatten();
    let (repository, context) = (parsed(repository)?, parsed(context)?);
    let is_same = repository.remote == context.remote;
    is_same.then(|| format!("{GIT_TOKEN}.{}", context.host()))
}

/// What begins the address of something that is no file of this machine.
const ELSEWHERE: &[&str] = &["target:", "docker-image://"];

/// The file or the folder of this machine that a named context is read from, if it is read from one.
pub fn local_context(text: &str) -> Option<PathBuf> {
    if is_remote_context(text) || ELSEWHERE.iter().any(|scheme| text.starts_with(scheme)) {
        return None;
    }
    let layout = InLayout::parse(text).ok().flatten();
    Some(layout.map_or_else(|| PathBuf::from(text), |layout| layout.folder))
}

/// Takes a tar in as a layer: then its files are looked at as those of any image are.
fn keep(engine: &Engine, lease: &Lease, reader: &mut (dyn Read + Send)) -> Result<ChainId> {
    let store = engine.store();
    let unpacked = store.unpack_layer(lease, reader, Expected::default())?;
    super::layers::adopt(store, lease, unpacked, None).map(|(chain, _)| chain)
}

pub(super) fn of_stack(
    engine: &Engine,
    top: Option<ChainId>,
    ignore: Ignore,
) -> Result<Arc<Place>> {
    let root = super::layers::view(engine.store(), top)?;
    let context = Some(ContextFacts { ignore, hashes: Hashes::nowhere(), time: None });
    Ok(Arc::new(Place { root, name: "context".to_owned(), context }))
}

fn is_tar(head: &[u8]) -> bool {
    Codec::detect(head) != Codec::None || head.get(TAR_MAGIC) == Some(b"ustar")
}

fn text_of(reader: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(TEXT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TEXT_BYTES {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

fn unreadable(path: &Path, error: &io::Error) -> EngineError {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    EngineError::Refused(format!("failed to read dockerfile: open {name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_context_reads_here() {
        let check = |text: &str, path: Option<&str>| {
            assert_eq!(local_context(text), path.map(PathBuf::from), "{text}");
        };
        for text in ["target:a", "docker-image://a", "https://h/x.tar", "git@h:a", "github.com/a/b"]
        {
            check(text, None);
        }
        check("/sys/devices/pci0000:00/../x", Some("/sys/devices/pci0000:00/../x"));
        check("oci-layout:///home/me:tag", Some("/home/me"));
        check("oci-layout://", Some("oci-layout://"));
        check("a", Some("a"));
    }

    #[test]
    fn a_token_opens_the_repository_that_it_is_for() {
        let opens = |context: &str| repository_token("https://h:1/a.git#v1", context);
        assert_eq!(opens("https://h:1/a.git#v2:sub").as_deref(), Some("GIT_AUTH_TOKEN.h:1"));
        for other in ["https://h:1/b.git", "https://g/a.git", "http://h:1/a.git", "a", "."] {
            assert_eq!(opens(other), None, "{other}");
        }
    }
}
