//! The client's side: a session that serves folders and takes results, and calls of the services.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hyper::HeaderMap;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::app::{App, Settings};
use crate::buildkit::messages::BytesMessage;
use crate::buildkit::messages::content::{
    ReadContentRequest, ReadContentResponse, WriteAction, WriteContentRequest, WriteContentResponse,
};
use crate::buildkit::messages::control::{SolveRequest, SolveResponse};
use crate::buildkit::messages::session::{FetchTokenRequest, FetchTokenResponse};
use crate::buildkit::{BuildKit, receive, send};
use crate::wire::{Caller, Calls, Code, Exchange, Incoming, Outgoing, Service, Status, serve};

/// The services over a store of the test's own, and a client with a session.
pub(super) struct Lab {
    pub(super) folder: tempfile::TempDir,
    pub(super) control: Caller,
    pub(super) client: Arc<Client>,
    pub(super) app: Arc<App>,
    _session: (Outgoing, std::thread::JoinHandle<()>),
    _ending: watch::Sender<bool>,
    runtime: Option<Runtime>,
}

/// What a client serves on its session.
#[derive(Default)]
pub(super) struct Client {
    pub(super) folders: Mutex<HashMap<String, PathBuf>>,
    /// Where results go.
    pub(super) results: Mutex<PathBuf>,
    /// What was asked, in order.
    pub(super) asked: Mutex<Vec<String>>,
}

impl Service for Arc<Client> {
    fn call(&self, path: &str, metadata: HeaderMap, exchange: Exchange) -> Result<(), Status> {
        let text = |name| metadata.get(name).map_or("", |value| value.to_str().unwrap());
        let follow: Vec<_> = metadata.get_all("followpaths").iter().collect();
        self.asked.lock().unwrap().push(format!("{path} {} {follow:?}", text("dir-name")));
        match path {
            "/moby.filesync.v1.FileSync/DiffCopy" => {
                let folder = self.folders.lock().unwrap().get(text("dir-name")).cloned();
                let missing = || Status::missing("no access to that folder");
                send::send(exchange, &folder.ok_or_else(missing)?)
            }
            "/moby.filesync.v1.FileSend/DiffCopy" => {
                let results = self.results.lock().unwrap().clone();
                if results.is_dir() {
                    let opened = sys::fs::open_folder(&results)?;
                    return receive::receive(exchange, &opened, &mut |_| ()).map(drop);
                }
                let mut incoming = exchange.incoming;
                let mut all = Vec::new();
                for message in incoming.all::<BytesMessage>() {
                    all.extend(message?.data);
                }
                Ok(std::fs::write(results, all)?)
            }
            "/containerd.services.content.v1.Content/Read" => {
                let Exchange { mut incoming, outgoing } = exchange;
                let asked: ReadContentRequest = incoming.one()?;
                let store = self.store(text("buildkit-attachable-store-id"));
                let data = std::fs::read(store.join(asked.digest));
                let data = data.map_err(|error| Status::missing(error.to_string()))?;
                data.chunks(7).try_for_each(|part| {
                    outgoing.send(&ReadContentResponse { offset: 0, data: part.to_vec() })
                })
            }
            "/containerd.services.content.v1.Content/Write" => {
                let Exchange { mut incoming, outgoing } = exchange;
                let store = self.store(text("buildkit-attachable-store-id"));
                let mut all = Vec::new();
                for request in incoming.all::<WriteContentRequest>() {
                    let request = request?;
                    assert_eq!(request.offset, all.len() as i64);
                    if store.join(&request.expected).exists() {
                        return Err(Status::new(Code::AlreadyExists, "it is here"));
                    }
                    all.extend(request.data);
                    outgoing.send(&WriteContentResponse { offset: all.len() as i64 })?;
                    if request.action == WriteAction::Commit as i32 {
                        assert_eq!(all.len() as i64, request.total);
                        std::fs::write(store.join(&request.expected), &all)?;
                    }
                }
                Ok(())
            }
            "/moby.filesync.v1.Auth/FetchToken" => exchange.answer(|request: FetchTokenRequest| {
                let FetchTokenRequest { host, realm, service, scopes, .. } = request;
                let token = format!("{host} {realm} {service} {scopes:?}");
                Ok(FetchTokenResponse { token, expires_in: 60 })
            }),
            other => Err(Status::unsupported(other)),
        }
    }
}

impl Client {
    /// The folder with blobs that a store of this name has.
    pub(super) fn store(&self, name: &str) -> PathBuf {
        let folder = self.results.lock().unwrap().join(name.replace(':', "-"));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}

impl Lab {
    /// Starts all of it.
    pub(super) fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let flags = engine::SettingFlags {
            data_root: Some(folder.path().join("root")),
            run_root: Some(folder.path().join("run")),
            // Needs nothing of the machine.
            storage_driver: Some("vfs".to_owned()),
            config: Some(folder.path().to_owned()),
            ..engine::SettingFlags::default()
        };
        let settings = engine::Settings::gather(&flags, &Default::default()).unwrap();
        let app = Arc::new(App::new(&Settings::new(settings, Vec::new())));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (ending, end) = watch::channel(false);
        let control = {
            let _inside = runtime.enter();
            let (ours, theirs) = UnixStream::pair().unwrap();
            let services = Arc::new(BuildKit::new(app.clone(), end.clone()));
            runtime.spawn(serve(theirs, services, Calls::default(), end));
            let (control, alive) = runtime.block_on(Caller::connect(ours)).unwrap();
            runtime.spawn(alive);
            control
        };
        let client = Arc::<Client>::default();
        let session = open_session(&runtime, &control, &client);
        let runtime = Some(runtime);
        Lab { folder, control, client, app, _session: session, _ending: ending, runtime }
    }

    /// A folder of the client's with files in it.
    pub(super) fn folder(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.folder.path().join("client").join(name);
        for (path, text) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.client.folders.lock().unwrap().insert(name.to_owned(), folder.clone());
        folder
    }

    /// Where results go from now on.
    pub(super) fn take_results(&self, path: &Path) {
        *self.client.results.lock().unwrap() = path.to_owned();
    }

    /// Asks for a build.
    pub(super) fn solve(&self, request: SolveRequest) -> Result<SolveResponse, Status> {
        self.control.ask("/moby.buildkit.v1.Control/Solve", &request)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Calls that wait end with their connections, and nobody waits for them here.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens the client's session as `Control.Session` has it: a connection in messages.
fn open_session(
    runtime: &Runtime,
    control: &Caller,
    client: &Arc<Client>,
) -> (Outgoing, std::thread::JoinHandle<()>) {
    use std::io::{Read, Write};
    let metadata = [
        ("x-docker-expose-session-uuid", "the-session".to_owned()),
        ("x-docker-expose-session-sharedkey", "the-key".to_owned()),
        ("x-docker-expose-session-grpc-method", "/moby.filesync.v1.FileSend/DiffCopy".to_owned()),
        ("x-docker-expose-session-grpc-method", "/moby.filesync.v1.Auth/FetchToken".to_owned()),
    ];
    let Exchange { incoming, outgoing } =
        control.call("/moby.buildkit.v1.Control/Session", &metadata).unwrap();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let theirs = {
        let _inside = runtime.enter();
        UnixStream::from_std(theirs).unwrap()
    };
    let (_never, end) = watch::channel(false);
    let services = Arc::new(client.clone());
    runtime.spawn(async move {
        serve(theirs, services, Calls::default(), end).await;
        drop(_never);
    });
    let mut reader = ours.try_clone().unwrap();
    let said = outgoing.clone();
    std::thread::spawn(move || {
        let mut part = vec![0; 4096];
        while let Ok(count) = reader.read(&mut part) {
            if count == 0 || said.send(&BytesMessage { data: part[..count].to_vec() }).is_err() {
                return;
            }
        }
    });
    let mut writer = ours;
    let heard = std::thread::spawn(move || {
        let mut incoming: Incoming = incoming;
        for message in incoming.all::<BytesMessage>() {
            let Ok(message) = message else { return };
            if writer.write_all(&message.data).is_err() {
                return;
            }
        }
    });
    (outgoing, heard)
}
