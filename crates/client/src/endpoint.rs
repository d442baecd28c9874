//! Where another engine is, and how a connection to it is made.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::{ClientError, Result};
use crate::tls::{self, TlsFiles};

/// So long a host may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// `host:port`, with certificates or in the clear.
    Tcp {
        /// The host and its port.
        address: String,
        /// What both sides prove.
        tls: Option<TlsFiles>,
    },
    /// A machine on which `docker system dial-stdio` reaches it.
    Ssh(SshHost),
}

/// A machine that is reached by ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshHost {
    /// Who one is there, unless ssh knows.
    pub user: Option<String>,
    /// Its name.
    pub host: String,
    /// Its port, unless ssh knows.
    pub port: Option<u16>,
    /// The engine's socket there, unless docker knows.
    pub socket: Option<String>,
}

/// The ports that docker has for connections in the clear and with proof.
const PORTS: (u16, u16) = (2375, 2376);

impl Endpoint {
    /// Reads `unix://PATH`, `tcp://HOST[:PORT]`, `ssh://[USER@]HOST[:PORT][/SOCKET]`. The
    /// certificates count for TCP alone.
    pub fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Endpoint> {
        let wrong = || ClientError::Endpoint(text.to_owned());
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Endpoint::Unix(rest.into())),
            "unix" if rest.is_empty() => Ok(Endpoint::Unix("/var/run/docker.sock".into())),
            "tcp" | "http" | "https" => {
                let bare = rest.trim_end_matches('/');
                let port = if tls.is_some() { PORTS.1 } else { PORTS.0 };
                let address = match bare.rsplit_once(':') {
                    Some((_, number)) if number.parse::<u16>().is_ok() => bare.to_owned(),
                    Some((host, "")) => format!("{host}:{port}"),
                    _ if !bare.is_empty() => format!("{bare}:{port}"),
                    _ => return Err(wrong()),
                };
                let address = match address.strip_prefix(':') {
                    Some(port) => format!("127.0.0.1:{port}"),
                    None => address,
                };
                Ok(Endpoint::Tcp { address, tls })
            }
            "ssh" => {
                let (place, socket) = match rest.split_once('/') {
                    Some((place, path)) => (place, Some(format!("/{path}"))),
                    None => (rest, None),
                };
                let (user, place) = match place.split_once('@') {
                    Some((user, place)) => (Some(user.to_owned()), place),
                    None => (None, place),
                };
                let (host, port) = match place.rsplit_once(':') {
                    Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
                    None => (place, None),
                };
                let socket = socket.filter(|path| path != "/");
                // A password has no place in an address, and a dash would be an option of ssh's.
                let odd = |text: &str| text.is_empty() || text.starts_with('-');
                if odd(host) || user.as_deref().is_some_and(|user| odd(user) || user.contains(':'))
                {
                    return Err(wrong());
                }
                Ok(Endpoint::Ssh(SshHost { user, host: host.to_owned(), port, socket }))
            }
            _ => Err(wrong()),
        }
    }

    /// A new connection. Whatever lies between, it is a socket.
    pub(crate) fn connect(&self) -> Result<File> {
        let failed = |source| ClientError::Connect { place: self.to_string(), source };
        match self {
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).map_err(failed)?;
                Ok(File::from(OwnedFd::from(stream)))
            }
            Endpoint::Tcp { address, tls } => {
                let stream = dial(address).map_err(failed)?;
                match tls {
                    None => Ok(File::from(OwnedFd::from(stream))),
                    Some(files) => tls::wrap(stream, address, files),
                }
            }
            Endpoint::Ssh(host) => host.connect().map_err(failed),
        }
    }
}

fn dial(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address is known of it");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                // Whoever has vanished without a word is found out some time.
                rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl SshHost {
    /// The words of the command that makes a connection.
    fn words(&self) -> Vec<String> {
        let mut words: Vec<String> =
            ["-o", "ConnectTimeout=30", "-T"].iter().map(ToString::to_string).collect();
        if let Some(user) = &self.user {
            words.extend(["-l".to_owned(), user.clone()]);
        }
        if let Some(port) = self.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        words.extend(["--".to_owned(), self.host.clone(), "docker".to_owned()]);
        words.extend(self.socket.iter().map(|path| format!("--host=unix://{path}")));
        words.extend(["system", "dial-stdio"].map(str::to_owned));
        words
    }

    /// One end of a pair of sockets; the other is ssh's input and output. What ssh has to say goes
    /// to standard error, and it ends when its input does.
    fn connect(&self) -> io::Result<File> {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        Command::new("ssh")
            .args(self.words())
            .stdin(Stdio::from(theirs.try_clone()?))
            .stdout(Stdio::from(theirs))
            .spawn()?;
        Ok(File::from(OwnedFd::from(ours)))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::Tcp { address, .. } => write!(f, "tcp://{address}"),
            Endpoint::Ssh(SshHost { user, host, port, .. }) => {
                f.write_str("ssh://")?;
                user.iter().try_for_each(|user| write!(f, "{user}@"))?;
                f.write_str(host)?;
                port.iter().try_for_each(|port| write!(f, ":{port}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let read = Endpoint::parse(text, None);
        let shown = read.map_or_else(|error| error.to_string(), |endpoint| endpoint.to_string());
        assert_eq!(shown, expected);
    }

    #[test]
    fn places_as_docker_writes_them() {
        check("unix:///run/x.sock", "unix:///run/x.sock");
        check("unix://", "unix:///var/run/docker.sock");
        check("tcp://host", "tcp://host:2375");
        check("tcp://:99", "tcp://127.0.0.1:99");
        check("10.0.0.1:5", "tcp://10.0.0.1:5");
        check("tcp://[::1]:5/", "tcp://[::1]:5");
        check("ssh://me@far:22", "ssh://me@far:22");
        for wrong in
            ["unix://x", "tcp://", "ssh://", "ssh://-oProxyCommand=x", "ssh://a:b@c", "fd://"]
        {
            check(wrong, &format!("unable to parse docker host `{wrong}`"));
        }
        let tls = Some(TlsFiles::default());
        assert_eq!(Endpoint::parse("tcp://host", tls).unwrap().to_string(), "tcp://host:2376");
    }

    #[test]
    fn ssh_is_asked_for_the_same_as_docker_asks() {
        let read = Endpoint::parse("ssh://me@far:7/run/d.sock", None).unwrap();
        let Endpoint::Ssh(host) = read else { panic!("{read:?}") };
        assert_eq!(
            host.words().join(" "),
            "-o ConnectTimeout=30 -T -l me -p 7 -- far docker --host=unix:///run/d.sock system dial-stdio"
        );
    }
}
