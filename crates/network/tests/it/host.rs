//! A host of a test's own: a network namespace that the test's thread moves into, so that neither
//! links nor rules of the machine are seen or touched, with an "internet" behind a cable.
//!
//! `ip` sets the surroundings up: what is tested does not test itself.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use network::{Attached, EndpointRequest, NetNs, Networks, Settings};
use tempfile::TempDir;

/// How long a packet may take that is to arrive, and how long we wait for one that is not.
pub(crate) const SOON: Duration = Duration::from_secs(10);
pub(crate) const NEVER: Duration = Duration::from_millis(300);

/// The host's address towards the internet, and the internet's.
pub(crate) const HOST: &str = "198.51.100.1";
pub(crate) const INTERNET: &str = "198.51.100.2";
pub(crate) const HOST6: &str = "2001:db8::1";
pub(crate) const INTERNET6: &str = "2001:db8::2";

pub(crate) struct Host {
    pub(crate) networks: Networks,
    pub(crate) internet: NetNs,
    pub(crate) folder: TempDir,
}

/// A container: a namespace, and what came of its joining a network.
pub(crate) struct Container {
    pub(crate) namespace: NetNs,
    pub(crate) attached: Attached,
}

impl Host {
    /// Moves this thread into a new namespace and sets it up.
    pub(crate) fn new() -> Host {
        sys::netns::leave_for_a_new_one().unwrap();
        NetNs::current().unwrap().loopback_up().unwrap();
        let internet = NetNs::create().unwrap();
        run("ip link add outside type veth peer name uplink");
        let pin = tempfile::tempdir().unwrap();
        internet.pin(&pin.path().join("net")).unwrap();
        // `ip` takes names below /run/netns or process ids; a sleeping process inside has one.
        let mut sleeper =
            internet.within(|| Command::new("sleep").arg("60").spawn()).unwrap().unwrap();
        run(&format!("ip link set uplink netns {}", sleeper.id()));
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        NetNs::unpin(&pin.path().join("net")).unwrap();
        run(&format!("ip address add {HOST}/24 dev outside"));
        run(&format!("ip address add {HOST6}/64 dev outside nodad"));
        run("ip link set outside addrgenmode none");
        run("ip link set outside up");
        internet
            .within(|| {
                run(&format!("ip address add {INTERNET}/24 dev uplink"));
                run(&format!("ip address add {INTERNET6}/64 dev uplink nodad"));
                run("ip link set uplink up");
            })
            .unwrap();
        // What is compared later must not change by itself.
        while run("ip route").contains("linkdown") {
            std::thread::sleep(Duration::from_millis(5));
        }
        let folder = tempfile::tempdir().unwrap();
        let networks = open(folder.path());
        Host { networks, internet, folder }
    }

    /// A container in a network.
    pub(crate) fn container(&self, name: &str, network: &str) -> Container {
        self.container_with(name, network, |_| {})
    }

    /// The same with more to ask for.
    pub(crate) fn container_with(
        &self,
        name: &str,
        network: &str,
        more: impl FnOnce(&mut EndpointRequest),
    ) -> Container {
        let namespace = NetNs::create().unwrap();
        let mut request = request(name, network);
        more(&mut request);
        let attached = self.networks.attach(&namespace, &request).unwrap();
        Container { namespace, attached }
    }

    /// The same with published ports, in docker's words.
    pub(crate) fn publishing(&self, name: &str, network: &str, ports: &[&str]) -> Container {
        self.container_with(name, network, |request| {
            request.ports =
                ports.iter().flat_map(|text| spec::port_mappings(text).unwrap()).collect();
        })
    }
}

/// Opens the networks of a folder.
pub(crate) fn open(folder: &Path) -> Networks {
    Networks::open(&folder.join("data"), &folder.join("run"), Settings::default()).unwrap()
}

/// What a container with this name asks for.
pub(crate) fn request(name: &str, network: &str) -> EndpointRequest {
    let mut container = String::new();
    for byte in name.bytes().cycle().take(32) {
        write!(container, "{byte:02x}").unwrap();
    }
    EndpointRequest {
        network: network.to_owned(),
        container,
        container_name: name.to_owned(),
        ..EndpointRequest::default()
    }
}

impl Container {
    /// Its IPv4 address.
    pub(crate) fn address(&self) -> IpAddr {
        self.attached.endpoint.ipv4.unwrap().0.into()
    }

    /// Its IPv6 address.
    pub(crate) fn address6(&self) -> IpAddr {
        self.attached.endpoint.ipv6.unwrap().0.into()
    }

    /// Answers each connection to a port with the caller's address.
    pub(crate) fn serve(&self, port: u16) {
        serve(&self.namespace, port);
    }

    /// What a server answers to a call from here.
    pub(crate) fn call(&self, address: impl ToString, port: u16) -> Option<String> {
        call(&self.namespace, address, port)
    }
}

/// Answers each connection to a port of a namespace with the caller's address.
pub(crate) fn serve(namespace: &NetNs, port: u16) {
    let listener = namespace.within(|| TcpListener::bind(("::", port))).unwrap().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let from = stream.peer_addr().unwrap().ip().to_canonical();
            let _ = write!(stream, "{from}");
        }
    });
}

/// What the server at an address answers to a call from a namespace; none if nothing comes.
pub(crate) fn call(namespace: &NetNs, address: impl ToString, port: u16) -> Option<String> {
    call_within(namespace, address, port, SOON)
}

/// The same, for calls that are to fail.
pub(crate) fn no_call(namespace: &NetNs, address: impl ToString, port: u16) -> bool {
    call_within(namespace, address, port, NEVER).is_none()
}

fn call_within(
    namespace: &NetNs,
    address: impl ToString,
    port: u16,
    patience: Duration,
) -> Option<String> {
    let address = SocketAddr::new(address.to_string().parse().unwrap(), port);
    namespace
        .within(|| {
            let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
            stream.set_read_timeout(Some(patience)).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        })
        .unwrap()
}

/// Sends each datagram to a port of a namespace back, once.
pub(crate) fn echo(namespace: &NetNs, port: u16) -> JoinHandle<()> {
    let socket = namespace.within(|| UdpSocket::bind(("::", port))).unwrap().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 100];
        let (bytes, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&buffer[..bytes], from).unwrap();
    })
}

/// Whether a datagram from a namespace comes back from an address.
pub(crate) fn echoes(namespace: &NetNs, address: impl ToString, port: u16) -> bool {
    let address: IpAddr = address.to_string().parse().unwrap();
    namespace
        .within(|| {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).unwrap();
            socket.set_read_timeout(Some(SOON)).unwrap();
            socket.connect((address, port)).unwrap();
            socket.send(b"hello").unwrap();
            socket.recv(&mut [0; 10]).is_ok()
        })
        .unwrap()
}

/// Runs a command line of simple words and returns what it prints.
#[track_caller]
pub(crate) fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a program that reads independently of us is here.
pub(crate) fn has(program: &str) -> bool {
    std::env::var("PATH").unwrap().split(':').any(|folder| Path::new(folder).join(program).exists())
}

/// Links, addresses, rules and routes of this thread's namespace, as other programs see them.
pub(crate) fn state() -> String {
    let mut all = run("ip -o address");
    all += &run("ip route");
    all += &run("ip -6 route");
    if has("nft") {
        all += &run("nft list ruleset");
    }
    // Lifetimes count down.
    all.lines().map(|line| line.split(" valid_lft").next().unwrap().to_owned() + "\n").collect()
}

/// Leaves the test, counted as skipped, unless networks can be made here.
#[macro_export]
macro_rules! need_networks {
    () => {
        testkit::need_root!();
        if !$crate::host::has("ip") {
            return testkit::skip("needs the program ip");
        }
    };
}
