//! Containers that clients ask for whose builds they steer: commands in the files of a result, to
//! look around in it or to do a part of the work. Such a container is one of the engine's. Its first
//! process is the container's own, with which it ends; what it writes is thrown away with it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{CreateContainer, Engine, ListImages, RemoveContainer, RemoveImages};
use serde_json::Value;
use spec::{ContainerConfig, ContainerId, HostConfig};

use super::asked::Asked;
use super::gateway;
use super::llb::host_line;
use super::messages::Nothing;
use super::messages::control::Exporter;
use super::messages::gateway::{InitMessage, NewContainerRequest, ReleaseContainerRequest};
use super::messages::ops::{Mount, MountType};
use crate::app::App;
use crate::wire::{Code, Status};

/// So many containers may one build have at once.
const MAX_CONTAINERS: usize = 64;
/// Where the engine says which image a result is.
const IMAGE: &str = "containerimage.config.digest";

/// The containers of builds that go on, by the build and by what its client calls them.
#[derive(Default)]
pub(super) struct Containers(Mutex<HashMap<(String, String), Arc<Container>>>);

/// A container that was asked for.
pub(super) struct Container {
    /// The image of its files.
    image: String,
    /// Whether that is there for such containers alone.
    is_made: bool,
    hostname: String,
    host: HostConfig,
    entitlements: Vec<String>,
    state: Mutex<State>,
}

/// How far a container is.
enum State {
    /// Its first process is still to come.
    Waiting,
    /// It is one of the engine's.
    Made(ContainerId),
    /// It was given back, or its build has ended.
    Gone,
}

/// What a process is to the container that it was started in.
pub(super) enum Place {
    /// The container's own.
    First(ContainerId),
    /// One more.
    Further(ContainerId),
}

impl Containers {
    fn all(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<Container>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container of a build.
    pub(super) fn get(&self, build: &str, name: &str) -> Result<Arc<Container>, Status> {
        let key = (build.to_owned(), name.to_owned());
        let found = self.all().get(&key).cloned();
        found.ok_or_else(|| Status::missing(format!("no such container {name}")))
    }

    /// Removes those of a build that has ended.
    pub(super) fn end(&self, app: &App, build: &str) {
        let mut all = self.all();
        let own: Vec<_> = all.keys().filter(|(of, _)| of == build).cloned().collect();
        let own: Vec<_> = own.iter().filter_map(|key| all.remove(key)).collect();
        drop(all);
        for container in own {
            // What cannot be removed now is seen by `ps`, and goes when its user says so.
            let _ = container.remove(app);
        }
    }
}

/// Makes files ready that commands are to see.
pub(super) fn make(
    app: &App,
    build: &str,
    request: NewContainerRequest,
    is_gone: &(dyn Fn() -> bool + Sync),
) -> Result<Nothing, Status> {
    let asked = gateway::asked_of(app, build)?;
    let root = request.mounts.iter().find(|mount| mount.target == "/");
    let root = root.ok_or_else(|| Status::invalid("a container without a root"))?;
    check(&asked, &request, root)?;
    let mut host = HostConfig {
        network_mode: match request.network {
            1 => "host".to_owned(),
            2 => "none".to_owned(),
            _ => "default".to_owned(),
        },
        ..HostConfig::default()
    };
    let hosts = request.hosts.iter().map(host_line).collect::<Result<Vec<_>, _>>()?;
    host.extra_hosts = Some(hosts).filter(|hosts| !hosts.is_empty());
    for mount in request.mounts.iter().filter(|mount| mount.target != "/") {
        let bytes = mount.memory.map_or(0, |size| size.bytes);
        let options = if bytes > 0 { format!("size={bytes}") } else { String::new() };
        host.tmpfs.insert(mount.target.clone(), options);
    }
    let key = (build.to_owned(), request.container);
    let is_free = |all: &HashMap<_, _>| match all.contains_key(&key) {
        true => Err(Status::new(Code::AlreadyExists, format!("container {} is there", key.1))),
        false => Ok(()),
    };
    is_free(&app.buildkit.containers.all())?;
    let known = images(app)?;
    let image = image_of(app, build, &root.result, is_gone)?;
    let mut all = app.buildkit.containers.all();
    is_free(&all)?;
    if all.keys().filter(|(of, _)| of == build).count() >= MAX_CONTAINERS {
        return Err(Status::invalid("a build with more containers than are kept"));
    }
    let is_made =
        !known.contains(&image) || all.values().any(|other| other.is_made && other.image == image);
    let container = Container {
        image,
        is_made,
        hostname: request.hostname,
        host,
        entitlements: asked.entitlements,
        state: Mutex::new(State::Waiting),
    };
    all.insert(key, Arc::new(container));
    drop(all);
    if gateway::is_over(app, build) {
        // Whoever ended it may not have seen this one.
        app.buildkit.containers.end(app, build);
        return Err(Status::gone());
    }
    Ok(Nothing {})
}

/// Refuses what would not be done.
fn check(asked: &Asked, request: &NewContainerRequest, root: &Mount) -> Result<(), Status> {
    if root.read_only || !matches!(root.selector.as_str(), "" | "/") || root.result.is_empty() {
        let words = "containers whose root is read-only, empty or a part of a tree are not made";
        return Err(Status::unsupported(words));
    }
    let others = request.mounts.iter().filter(|mount| mount.target != "/");
    for mount in others {
        if MountType::try_from(mount.kind) != Ok(MountType::Memory) {
            let words = "containers have mounts of type tmpfs besides their root, and no others";
            return Err(Status::unsupported(words));
        }
        if !mount.target.starts_with('/') {
            return Err(Status::invalid(format!("a mount at {:?}", mount.target)));
        }
    }
    match request.network {
        0 | 2 => Ok(()),
        1 => allowed(&asked.entitlements, "network.host"),
        _ => Err(Status::unsupported("networks of an unknown kind")),
    }
}

fn allowed(entitlements: &[String], name: &str) -> Result<(), Status> {
    match entitlements.iter().any(|own| own == name) {
        true => Ok(()),
        false => Err(Status::new(Code::PermissionDenied, format!("{name} is not allowed"))),
    }
}

/// The ids of all images.
fn images(app: &App) -> Result<HashSet<String>, Status> {
    let all = app.engine()?.image_summaries(&ListImages { all: true, ..ListImages::default() })?;
    let id = |image: &Value| image["Id"].as_str().map(str::to_owned);
    Ok(all.iter().filter_map(id).collect())
}

/// Builds a result, and has its files kept as an image.
fn image_of(
    app: &App,
    build: &str,
    reference: &str,
    is_gone: &(dyn Fn() -> bool + Sync),
) -> Result<String, Status> {
    let kind = "image".to_owned();
    let exporters = vec![Exporter { kind, attributes: HashMap::new() }];
    let facts = gateway::built(app, build, reference, exporters, is_gone)?;
    facts.get(IMAGE).cloned().ok_or_else(|| Status::internal("a result that is no image"))
}

impl Container {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the container if this is its first process; says which the process is.
    pub(super) fn place(&self, engine: &Engine, init: &InitMessage) -> Result<Place, Status> {
        if init.security == 1 {
            allowed(&self.entitlements, "security.insecure")?;
        }
        let mut state = self.state();
        match *state {
            State::Waiting => {}
            State::Made(id) => return Ok(Place::Further(id)),
            State::Gone => return Err(Status::missing("the container is no more")),
        }
        let meta = init.meta.clone().unwrap_or_default();
        let [stdin, stdout, stderr] = [0, 1, 2].map(|stream| init.streams.contains(&stream));
        let (program, arguments) =
            meta.words.split_first().ok_or_else(|| Status::invalid("a process without words"))?;
        let config = ContainerConfig {
            image: self.image.clone(),
            entrypoint: Some(vec![program.clone()]),
            cmd: Some(arguments.to_vec()),
            env: meta.env,
            user: if meta.user.is_empty() { "0:0".to_owned() } else { meta.user },
            working_dir: if meta.folder.is_empty() { "/".to_owned() } else { meta.folder },
            hostname: self.hostname.clone(),
            tty: init.terminal,
            open_stdin: stdin,
            stdin_once: stdin,
            attach_stdin: stdin,
            attach_stdout: stdout,
            attach_stderr: stderr,
            ..ContainerConfig::default()
        };
        let host = HostConfig { privileged: init.security == 1, ..self.host.clone() };
        let request = CreateContainer { config, host, ..CreateContainer::default() };
        let made = engine.create_container(request)?.id;
        *state = State::Made(made);
        Ok(Place::First(made))
    }

    /// Removes it, and the image of its files if nobody else needs it or has given it a name.
    fn remove(&self, app: &App) -> Result<(), Status> {
        let engine = app.engine()?;
        let state = std::mem::replace(&mut *self.state(), State::Gone);
        if let State::Made(id) = state {
            let request = RemoveContainer { force: true, volumes: true };
            engine.remove_container(&id, request, &engine)?;
        }
        let of_others = |other: &Arc<Container>| other.image == self.image;
        if !self.is_made || app.buildkit.containers.all().values().any(of_others) {
            return Ok(());
        }
        let image = engine.inspect(&self.image, None)?;
        let is_named = ["RepoTags", "RepoDigests"]
            .iter()
            .any(|names| image[*names].as_array().is_some_and(|list| !list.is_empty()));
        if !is_named {
            let names = vec![self.image.clone()];
            let removed = engine.remove(&RemoveImages { names, ..RemoveImages::default() })?;
            removed.into_iter().try_for_each(|one| one.map(drop))?;
        }
        Ok(())
    }
}

/// Removes a container that its client needs no more.
pub(super) fn release(
    app: &App,
    build: &str,
    request: &ReleaseContainerRequest,
) -> Result<Nothing, Status> {
    let key = (build.to_owned(), request.container.clone());
    let found = app.buildkit.containers.all().remove(&key);
    let container = found.ok_or_else(|| Status::missing(format!("no such container {}", key.1)))?;
    container.remove(app)?;
    Ok(Nothing {})
}
