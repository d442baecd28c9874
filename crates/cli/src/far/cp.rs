//! `cp` elsewhere: a tar goes over the connection, and what a path means is decided where it is.

use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{Client, Request, Response};
use engine::{Arriving, Leaving, unpack_copy};
use serde_json::{Value, json};

use crate::commands::cp::{Ends, ends, tell};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::output;

pub(super) fn run(context: &Context) -> Outcome {
    let (client, matches) = (context.far()?, context.matches());
    let bytes = match ends(context)? {
        Ends { from: Some((name, path)), to: None } => match name.strip_prefix("image:") {
            Some(image) => out_of_image(context, client, image, path)?,
            None => out_of(context, client, name, path)?,
        },
        Ends { from: _, to: Some((name, _)) } if name.starts_with("image:") => {
            return Err(Failure::new("error: an image does not change: copy into a container"));
        }
        Ends { from: None, to: Some((name, path)) } => into(
            client,
            &context.names()[0],
            name,
            path,
            (matches.flag("follow-link"), matches.flag("archive")),
        )?,
        // One of the two is of a container.
        _ => return Err(Failure::new("copying between containers is not supported")),
    };
    tell(context, bytes, &context.names()[1]);
    Ok(0)
}

/// What an engine says of a path in a container.
struct Stat {
    is_folder: bool,
    /// Where it leads, if it is a link.
    target: Option<String>,
}

/// How Go marks folders and links.
const FOLDER: u64 = 1 << 31;
const LINK: u64 = 1 << 27;

impl Stat {
    fn of(response: &Response) -> Result<Stat, Failure> {
        let header = response.header("X-Docker-Container-Path-Stat");
        let bytes = STANDARD.decode(header).ok();
        let told: Option<Value> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let told =
            told.ok_or_else(|| Failure::new("error: the engine does not say what is there"))?;
        let mode = told["mode"].as_u64().unwrap_or_default();
        let target = told["linkTarget"].as_str().filter(|_| mode & LINK != 0);
        Ok(Stat { is_folder: mode & FOLDER != 0, target: target.map(str::to_owned) })
    }

    fn ask(client: &Client, container: &str, path: &str) -> Result<Option<Stat>, Failure> {
        let request = Request::new("HEAD", format!("/containers/{container}/archive"));
        match client.send(request.with("path", path)) {
            Ok(response) => Stat::of(&response).map(Some),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where a path ends that may be a link: what is there, if anything.
fn followed(
    client: &Client,
    container: &str,
    path: &str,
) -> Result<(String, Option<Stat>), Failure> {
    let found = Stat::ask(client, container, path)?;
    let Some(target) = found.as_ref().and_then(|stat| stat.target.as_deref()) else {
        return Ok((path.to_owned(), found));
    };
    let target = match target.starts_with('/') {
        true => target.to_owned(),
        false => format!("{}/{target}", split(path).0.trim_end_matches('/')),
    };
    let found = Stat::ask(client, container, &target)?;
    Ok((target, found))
}

/// The folder of a path and its last name, without what says that it is a folder.
fn split(path: &str) -> (String, String) {
    let whole = Path::new(path.trim_end_matches("/.").trim_end_matches('/'));
    let parent = whole.parent().unwrap_or(Path::new("/"));
    let name = whole.file_name().unwrap_or_default();
    (parent.display().to_string(), name.to_string_lossy().into_owned())
}

fn absolute(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

/// What the API shows of an image's files a container shows, which is never started and goes.
fn out_of_image(
    context: &Context,
    client: &Client,
    image: &str,
    path: &str,
) -> Result<u64, Failure> {
    // An image without a command makes no container; what it would run is the same to us.
    let wanted = json!({
        "Image": image, "Cmd": ["/"], "HostConfig": { "NetworkMode": "none" },
    });
    let made: Value = client.call(Request::post("/containers/create").json(wanted))?;
    let id = made["Id"].as_str().unwrap_or_default();
    let copied = out_of(context, client, id, path);
    let gone = client.tell(Request::delete(format!("/containers/{id}")).flag("v", true));
    let bytes = copied?;
    gone?;
    Ok(bytes)
}

fn out_of(
    context: &Context,
    client: &Client,
    container: &str,
    given: &str,
) -> Result<u64, Failure> {
    let (given, to) = (absolute(given), &context.names()[1]);
    let matches = context.matches();
    if to == "-" && context.ui.is_terminal() {
        return Err(Failure::new(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    let path = match matches.flag("follow-link") {
        true => followed(client, container, &given)?.0,
        false => given.clone(),
    };
    let request = Request::get(format!("/containers/{container}/archive")).with("path", path);
    let mut response = client.send(request)?;
    if to == "-" {
        let written = output().and_then(|mut output| io::copy(&mut response.body, &mut output));
        return written.map_err(|error| Failure::new(format!("error: {error}")));
    }
    let (name, stat) = (split(&given).1, Stat::of(&response)?);
    // A root has no name of its own.
    let contents_only = given.ends_with("/.") || name.is_empty();
    let what = Arriving { name, is_folder: stat.is_folder, contents_only };
    let owners = matches.flag("archive");
    unpack_copy(&mut response.body, &what, Path::new(to), owners).map_err(words)
}

fn into(
    client: &Client,
    from: &str,
    container: &str,
    given: &str,
    (follow, as_user): (bool, bool),
) -> Result<u64, Failure> {
    let (path, found) = followed(client, container, &absolute(given))?;
    let is_folder = found.as_ref().is_some_and(|stat| stat.is_folder);
    let no_folder =
        || Failure::new(format!("destination \"{container}:{given}\" must be a directory"));
    if from == "-" {
        return match is_folder {
            true => put(client, container, &path, false, &mut io::stdin()),
            false => Err(no_folder()),
        };
    }
    let leaving = Leaving::find(Path::new(from), follow).map_err(words)?;
    let what = leaving.what();
    let (folder, name) = match found {
        Some(_) if is_folder && what.is_folder && what.contents_only => (path, String::new()),
        Some(_) if is_folder => (path, if what.name == "." { String::new() } else { what.name }),
        Some(_) if what.is_folder => return Err(Failure::new("cannot copy directory")),
        _ if given.ends_with('/') && !what.is_folder => {
            return Err(Failure::new("no such directory"));
        }
        _ => split(&path),
    };
    let (mut reader, writer) = io::pipe().map_err(|error| Failure::new(error.to_string()))?;
    std::thread::scope(|scope| {
        let packer = scope.spawn(|| leaving.pack(&name, writer));
        let sent = put(client, container, &folder, as_user, &mut reader);
        // The packer must not wait for a reader that gave up.
        drop(reader);
        let packed = packer.join().expect("the packer does not panic");
        let bytes = sent?;
        packed.map_err(words)?;
        Ok(bytes)
    })
}

/// Has a tar unpacked in a folder of a container, perhaps as files of the container's user.
fn put(
    client: &Client,
    container: &str,
    folder: &str,
    as_user: bool,
    tar: &mut dyn Read,
) -> Result<u64, Failure> {
    let mut counted = Counted { tar, bytes: 0 };
    let request = Request::new("PUT", format!("/containers/{container}/archive"))
        .with("path", folder)
        .with("noOverwriteDirNonDir", "true")
        .flag("copyUIDGID", as_user);
    client.tell(request.stream("application/x-tar", &mut counted))?;
    Ok(counted.bytes)
}

struct Counted<'a> {
    tar: &'a mut dyn Read,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Docker's client says some of these itself.
fn words(error: engine::EngineError) -> Failure {
    match error {
        engine::EngineError::Input(words) => Failure::new(words),
        other => other.into(),
    }
}
