//! Networks without privilege: a program of the user's carries packets between the container's
//! namespace and ordinary sockets. pasta is taken, or slirp4netns where it is missing or fails.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use spec::ContainerPort;

use crate::error::{NetworkError, Result};

/// What an unprivileged container wants of the network.
#[derive(Clone, Debug)]
pub struct UserRequest {
    /// Where the container's network namespace is found for as long as there is something; we are
    /// root there.
    pub namespace: PathBuf,
    /// Ports of the host that lead to it.
    pub ports: Vec<CarriedPort>,
    /// A folder of the container's own for a socket.
    pub folder: PathBuf,
}

/// A port of the host that leads to a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CarriedPort {
    /// The container's.
    pub container: ContainerPort,
    /// The one address of the host; without it, all of both families.
    pub host_address: Option<IpAddr>,
    /// The host's port.
    pub host_port: u16,
}

/// The program that carries packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// Gives the container the host's own addresses.
    Pasta,
    /// Gives the container 10.0.2.100, with names at 10.0.2.3.
    Slirp4netns,
}

/// A network that a program carries. The program ends when this is dropped, and pasta with the
/// namespace too.
#[derive(Debug)]
pub struct UserNetwork {
    /// Which program it is.
    pub carrier: Carrier,
    running: Running,
}

/// The program's process.
#[derive(Debug)]
enum Running {
    /// pasta, which is nobody's child.
    Background(OwnedFd),
    /// slirp4netns, and the pipe at whose end it stops.
    Child(Child, Option<ChildStdin>),
}

/// Where pasta answers for names inside, with what the host's own servers say.
const PASTA_NAMES: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// Where slirp4netns does.
const SLIRP_NAMES: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

impl UserNetwork {
    /// The server that answers for names inside.
    pub fn names(&self) -> IpAddr {
        match self.carrier {
            Carrier::Pasta => PASTA_NAMES.into(),
            Carrier::Slirp4netns => SLIRP_NAMES.into(),
        }
    }

    /// Connects a container; when this returns, its network is there.
    pub fn start(request: &UserRequest) -> Result<UserNetwork> {
        let first = match pasta(request) {
            Err(error) => error,
            done => return done,
        };
        match slirp4netns(request) {
            Err(NetworkError::Program { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Err(match first {
                    NetworkError::Program { .. } => NetworkError::NoUserNetwork,
                    first => first,
                })
            }
            // pasta says what is wrong; slirp4netns that a child of its own has failed.
            Err(_) if matches!(first, NetworkError::Failed { .. }) => Err(first),
            other => other,
        }
    }
}

impl Drop for UserNetwork {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Background(process) => {
                // Its ports are free when it has ended; one that does not end is not waited for.
                let _ = sys::watched::signal(&*process, SIGTERM);
                let process = Some(process.as_fd());
                let _ = sys::event::poll([(process, sys::event::Interest::READ)], Some(PATIENCE));
            }
            Running::Child(child, stop) => {
                drop(stop.take());
                // It ends by itself at the pipe's end; a zombie is not left.
                let _ = child.wait();
            }
        }
    }
}

const SIGTERM: i32 = 15;
/// How long pasta may take to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// pasta's arguments: nothing of the host is reached but what is published.
fn pasta_arguments(request: &UserRequest) -> Vec<String> {
    let mut words: Vec<String> =
        ["--config-net", "--quiet", "--no-map-gw", "--dns-forward"].map(str::to_owned).into();
    words.push(PASTA_NAMES.to_string());
    for (flag, protocol) in [("-t", spec::Protocol::Tcp), ("-u", spec::Protocol::Udp)] {
        let ports: Vec<&CarriedPort> =
            request.ports.iter().filter(|port| port.container.protocol == protocol).collect();
        if ports.is_empty() {
            words.extend([flag.to_owned(), "none".to_owned()]);
        }
        for port in ports {
            // Without an address it listens on both families.
            let address = port.host_address.map(|address| format!("{address}/"));
            let address = address.unwrap_or_default();
            let (host, container) = (port.host_port, port.container.number);
            words.extend([flag.to_owned(), format!("{address}{host}:{container}")]);
        }
    }
    // What listens on the host's loopback stays there.
    words.extend(["-T", "none", "-U", "none"].map(str::to_owned));
    words.extend(["--netns".to_owned(), request.namespace.display().to_string()]);
    words
}

/// Runs pasta, which goes into the background when all is set up.
fn pasta(request: &UserRequest) -> Result<UserNetwork> {
    let mut command = Command::new("pasta");
    let number = request.folder.join("pasta.pid");
    command.arg("--pid").arg(&number).args(pasta_arguments(request)).stdin(Stdio::null());
    // Its background process keeps what it inherits, so a pipe would not end.
    let log = request.folder.join("pasta.log");
    let file = fs::File::create(&log).map_err(NetworkError::io("make", &log))?;
    let copy = file.try_clone().map_err(NetworkError::io("open", &log))?;
    sys::process::with_own_limits(&mut command);
    let status = command
        .stdout(file)
        .stderr(copy)
        .status()
        .map_err(|source| NetworkError::Program { program: "pasta".to_owned(), source });
    let said = fs::read_to_string(&log).unwrap_or_default();
    fs::remove_file(&log).map_err(NetworkError::io("remove", &log))?;
    if !status?.success() {
        return Err(failed("pasta", &said));
    }
    let process = fs::read_to_string(&number).and_then(|text| {
        let process = sys::watched::open(text.trim().parse().map_err(io::Error::other)?)?;
        fs::remove_file(&number).map(|()| process)
    });
    let process = process.map_err(NetworkError::io("find pasta by", &number))?;
    Ok(UserNetwork { carrier: Carrier::Pasta, running: Running::Background(process) })
}

fn failed(program: &str, said: &str) -> NetworkError {
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    NetworkError::Failed { program: program.to_owned(), said: last.trim().to_owned() }
}

/// Runs slirp4netns, and publishes ports over its socket.
fn slirp4netns(request: &UserRequest) -> Result<UserNetwork> {
    let program = || "slirp4netns".to_owned();
    let socket = request.folder.join("slirp.sock");
    let mut command = Command::new("slirp4netns");
    // The ready line comes over its output, and the end over its input.
    command.args(["--configure", "--mtu=65520", "--disable-host-loopback"]);
    command.args(["--ready-fd=1", "--exit-fd=0", "--api-socket"]).arg(&socket);
    command.arg("--netns-type=path").arg(&request.namespace).arg("tap0");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    sys::process::with_own_limits(&mut command);
    let wrong = |source| NetworkError::Program { program: program(), source };
    let mut child = command.spawn().map_err(wrong)?;
    let stop = child.stdin.take();
    let mut ready = [0];
    let answer = child.stdout.take().map(|mut output| output.read(&mut ready));
    if !matches!(answer, Some(Ok(1))) {
        drop(stop);
        let output = child.wait_with_output().map_err(wrong)?;
        return Err(failed("slirp4netns", &String::from_utf8_lossy(&output.stderr)));
    }
    let running = Running::Child(child, stop);
    let network = UserNetwork { carrier: Carrier::Slirp4netns, running };
    for port in &request.ports {
        publish(&socket, port)?;
    }
    Ok(network)
}

/// Asks slirp4netns for one port.
fn publish(socket: &Path, port: &CarriedPort) -> Result<()> {
    let wrong = |source| NetworkError::Program { program: "slirp4netns".to_owned(), source };
    let mut stream = UnixStream::connect(socket).map_err(wrong)?;
    stream.write_all(slirp_request(port).as_bytes()).map_err(wrong)?;
    stream.shutdown(std::net::Shutdown::Write).map_err(wrong)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(wrong)?;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
    match answer.get("error") {
        None => Ok(()),
        Some(error) => Err(failed("slirp4netns", &error.to_string())),
    }
}

fn slirp_request(port: &CarriedPort) -> String {
    // It listens on one family at a time.
    let address = port.host_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    serde_json::json!({
        "execute": "add_hostfwd",
        "arguments": {
            "proto": port.container.protocol.as_str(),
            "host_addr": address.to_string(),
            "host_port": port.host_port,
            "guest_port": port.container.number,
        },
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host: &str, number: u16, container: &str) -> CarriedPort {
        CarriedPort {
            container: container.parse().unwrap(),
            host_address: host.parse().ok(),
            host_port: number,
        }
    }

    #[test]
    fn pasta_publishes_what_was_asked_for_and_nothing_else() {
        let namespace = "/proc/1/fd/5".into();
        let mut request = UserRequest { namespace, ports: Vec::new(), folder: "/x".into() };
        let words = pasta_arguments(&request).join(" ");
        let names = "--dns-forward 169.254.1.1";
        let rest = "-t none -u none -T none -U none --netns /proc/1/fd/5";
        assert_eq!(words, format!("--config-net --quiet --no-map-gw {names} {rest}"));
        let ports = [("127.0.0.1", 1), ("0.0.0.0", 2), ("::", 3), ("", 4)];
        request.ports = ports.map(|(host, number)| port(host, number, "80/tcp")).to_vec();
        request.ports.push(port("", 53, "53/udp"));
        let words = pasta_arguments(&request).join(" ");
        let wanted = "-t 127.0.0.1/1:80 -t 0.0.0.0/2:80 -t ::/3:80 -t 4:80 -u 53:53 -T none";
        assert!(words.contains(wanted), "{words}");
    }

    #[test]
    fn slirp4netns_is_asked_in_json() {
        let text = slirp_request(&port("", 8080, "80/tcp"));
        assert!(text.contains(r#""host_addr":"0.0.0.0""#), "{text}");
        assert!(text.contains(r#""execute":"add_hostfwd""#), "{text}");
        assert!(text.contains(r#""host_port":8080"#) && text.contains(r#""proto":"tcp""#));
    }
}
