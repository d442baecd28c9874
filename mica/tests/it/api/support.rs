//! A server of the test's own, docker's client for it, and requests written by hand.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::containers::support::{Root, eventually, kill};
use crate::support::{Mica, Run, words};

/// A server over a store, gone when this is.
pub(crate) struct Server<'a> {
    mica: &'a Mica,
    socket: PathBuf,
    child: Child,
}

/// What a request by hand was answered with.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What an error says.
    #[track_caller]
    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }
}

impl<'a> Server<'a> {
    /// Starts one and waits until it answers.
    pub(crate) fn start(mica: &'a Mica) -> Server<'a> {
        // Names of sockets are short; those of a test's folders need not be.
        let socket = std::env::temp_dir().join(format!(
            "mica-api-{}-{}.sock",
            std::process::id(),
            mica.root().parent().unwrap().file_name().unwrap().to_string_lossy()
        ));
        let mut command = mica.command(&format!("serve -H unix://{}", socket.display()));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Server { mica, socket, child };
        eventually("the server answers", || UnixStream::connect(&server.socket).is_ok());
        server
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    /// Docker's client, with the words of this line.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = self.mica.program("docker");
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command.args(words(line));
        command
    }

    /// Runs it and says what came of it.
    pub(crate) fn docker(&self, line: &str) -> Run {
        Run::of(line, self.command(line).output().unwrap())
    }

    /// Runs what must work, and gives what it printed, less the last line end.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        let run = self.docker(line);
        assert_eq!(run.code, 0, "{run}");
        run.out.strip_suffix('\n').unwrap_or(&run.out).to_owned()
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends a request that carries a document, if that is not empty, and reads the whole answer.
    pub(crate) fn send(&self, method: &str, path: &str, document: &str) -> Answered {
        let kind = if document.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!("{kind}Content-Length: {}\r\n", document.len());
        self.send_raw(method, path, &head, document.as_bytes())
    }

    /// The same with any head and body.
    pub(crate) fn send_raw(&self, method: &str, path: &str, head: &str, body: &[u8]) -> Answered {
        let mut stream = self.connect();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n")
            .unwrap();
        // One that is refused early may have closed its end.
        let _ = stream.write_all(body);
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            // Then the kernel says behind the answer that not all was read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset && !bytes.is_empty() => {}
            other => drop(other.unwrap()),
        }
        answered(&bytes)
    }

    /// Asks for something.
    pub(crate) fn get(&self, path: &str) -> Answered {
        self.send("GET", path, "")
    }
}

/// A server that clients are to prove themselves to, and where it listens. In the root's folder are
/// `ca.pem` and what it has signed: `server` and, for clients, `key`.
pub(crate) fn served_by_tls(root: &Root) -> (Child, String) {
    let script =
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2
         for name in server key; do
           openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name
           printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth' > $name.ext
           openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
             -extfile $name.ext -out $name.crt -days 2
         done";
    let output = root.program("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let flags = "--tlsverify --tlscacert ca.pem --tlscert server.crt --tlskey server.key";
    let mut command = root.command(&format!("serve -H tcp://127.0.0.1:0 {flags}"));
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 64];
    let count = child.stderr.take().unwrap().read(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..count]).into_owned();
    (child, said.trim().strip_prefix("API listen on ").unwrap().to_owned())
}

/// Takes an answer apart; pieces are put together.
pub(crate) fn answered(bytes: &[u8]) -> Answered {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut rest = &bytes[end + 4..];
    if !head.contains("transfer-encoding: chunked") {
        return Answered { status, head, body: rest.to_vec() };
    }
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = std::str::from_utf8(&rest[..line]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            break;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + length]);
        rest = &rest[line + 4 + length..];
    }
    Answered { status, head, body }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        kill(self.child.id(), "TERM");
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}
