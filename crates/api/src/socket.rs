//! Where the API listens: a socket in the file system, an address, or what systemd has opened.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::app::Settings;
use crate::error::ApiError;

/// A place to listen.
#[derive(Debug)]
pub enum Listen {
    /// A socket of this name.
    Unix(PathBuf),
    /// This host and port.
    Tcp(String),
    /// Sockets that were open when we came.
    Inherited(Vec<OwnedFd>),
}

/// A place that is listened on.
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// What is listened on, what it is called, and what goes when the server ends.
pub(crate) struct Opened {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) names: Vec<String>,
    sockets: Vec<PathBuf>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        for path in &self.sockets {
            // One that somebody else has put in its place meanwhile is met again by its own end.
            let _ = fs::remove_file(path);
        }
    }
}

/// The ports that docker has for plain and for proven connections.
const PORTS: (u16, u16) = (2375, 2376);

/// Opens all places.
pub(crate) fn open(settings: &mut Settings) -> Result<Opened, ApiError> {
    let mut opened = Opened { listeners: Vec::new(), names: Vec::new(), sockets: Vec::new() };
    for place in std::mem::take(&mut settings.listen) {
        match place {
            Listen::Unix(path) => {
                let failed = failed(format!("unix://{}", path.display()));
                opened.listeners.push(Listener::Unix(unix(&path, &settings.group, failed)?));
                opened.names.push(format!("unix://{}", path.display()));
                opened.sockets.push(path);
            }
            Listen::Tcp(address) => {
                let name = format!("tcp://{address}");
                if settings.tls.is_none() && !settings.plain_tcp {
                    return Err(ApiError::Open(name));
                }
                let listener = tcp(&address, settings.tls.is_some()).map_err(failed(name))?;
                let address = listener.local_addr().map_err(failed(format!("tcp://{address}")))?;
                opened.names.push(format!("tcp://{address}"));
                opened.listeners.push(Listener::Tcp(listener));
            }
            Listen::Inherited(sockets) if sockets.is_empty() => {
                return Err(ApiError::Inherited("fd://".to_owned()));
            }
            Listen::Inherited(sockets) => {
                for socket in sockets {
                    // Whoever has opened it has decided who may use it.
                    opened.listeners.push(inherited(socket).map_err(failed("fd://".to_owned()))?);
                    opened.names.push("fd://".to_owned());
                }
            }
        }
    }
    Ok(opened)
}

fn inherited(socket: OwnedFd) -> io::Result<Listener> {
    sys::event::set_nonblocking(&socket)?;
    Ok(match rustix::net::sockopt::socket_domain(&socket)? {
        rustix::net::AddressFamily::UNIX => Listener::Unix(socket.into()),
        _ => Listener::Tcp(socket.into()),
    })
}

fn failed(place: String) -> impl FnOnce(io::Error) -> ApiError {
    move |source| ApiError::Listen { place, source }
}

/// A socket for its owner and a group. It is made aside and shown when it is as it shall be, so
/// nobody finds it open to all; an old one that nobody answers at is replaced.
fn unix(
    path: &Path,
    group: &str,
    failed: impl FnOnce(io::Error) -> ApiError,
) -> Result<UnixListener, ApiError> {
    if UnixStream::connect(path).is_ok() {
        return Err(ApiError::Taken(format!("unix://{}", path.display())));
    }
    let made = || -> io::Result<UnixListener> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let aside = folder.join(format!(".{}", std::process::id()));
        let _ = fs::remove_file(&aside);
        let listener = UnixListener::bind(&aside)?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o660))?;
        if let Some(group) = group_id(group) {
            chown(&aside, None, Some(group))?;
        }
        fs::rename(&aside, path)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    made().map_err(failed)
}

fn tcp(address: &str, proven: bool) -> io::Result<TcpListener> {
    let port = if proven { PORTS.1 } else { PORTS.0 };
    let whole = if address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        address.to_owned()
    } else {
        format!("{}:{port}", address.trim_end_matches(':'))
    };
    let addresses: Vec<SocketAddr> = whole.to_socket_addrs()?.collect();
    let listener = TcpListener::bind(addresses.as_slice())?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A group's number, by its name or written out.
fn group_id(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = fs::read_to_string("/etc/group").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}
