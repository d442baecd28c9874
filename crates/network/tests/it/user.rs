//! Networks of users without privilege.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use network::{CarriedPort, Carrier, NetNs, UserNetwork, UserRequest};

use crate::host::{Host, has};
use crate::need_networks;

/// A process of a user without privilege, in namespaces of its own.
struct Process(Child);

impl Process {
    fn start() -> Process {
        let line = ["--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "-r", "-n"];
        let mut command = Command::new("setpriv");
        command.args(line).args(["sh", "-c", "echo; exec sleep 60"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The namespaces are there when it speaks.
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        Process(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_user_reaches_the_world_and_is_reached() {
    need_networks!();
    if !has("setpriv") || !(has("slirp4netns") || has("pasta")) {
        return testkit::skip("needs setpriv, and slirp4netns or pasta");
    }
    let host = Host::new();
    let process = Process::start();
    let folder = tempfile::tempdir().unwrap();
    let ports = vec![CarriedPort {
        container: "80/tcp".parse().unwrap(),
        host_address: "127.0.0.1".parse().ok(),
        host_port: 18080,
    }];
    let namespace = format!("/proc/{}/ns/net", process.0.id()).into();
    let request = UserRequest { namespace, ports, folder: folder.path().into() };
    let network = UserNetwork::start(&request).unwrap();
    let inside = NetNs::of_process(process.0.id()).unwrap();
    crate::host::serve(&host.internet, 80);
    if network.carrier == Carrier::Slirp4netns {
        let answer = crate::host::call(&inside, crate::host::INTERNET, 80);
        assert_eq!(answer.as_deref(), Some(crate::host::HOST));
    }
    let listener = inside.within(|| TcpListener::bind("0.0.0.0:80")).unwrap().unwrap();
    let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"in"));
    let mut stream = TcpStream::connect("127.0.0.1:18080").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "in");
    server.join().unwrap().unwrap();
}
