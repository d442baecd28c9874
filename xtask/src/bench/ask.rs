//! Requests to docker's API over one connection that stays open, as a program makes them.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use crate::Result;

/// Asks a server: SOCKET, what (`ping`, `list`, or `run` for a container from its making to its
/// removal), and how often.
pub(crate) fn ask_api(arguments: &[String]) -> Result {
    let [socket, what, times] = arguments else {
        return Err("it takes a socket, what to ask for, and a number".into());
    };
    let mut server = Server::connect(socket)?;
    let mut second = Server::connect(socket)?;
    let times: usize = times.parse()?;
    let mut bytes = 0;
    for _ in 0..times {
        bytes += match what.as_str() {
            "ping" => server.ask("GET", "/_ping", "")?.len(),
            "list" => server.ask("GET", "/containers/json?all=1", "")?.len(),
            "run" => server.run(&mut second)?,
            other => return Err(format!("nothing is called {other}").into()),
        };
    }
    println!("{times} times, {bytes} bytes");
    Ok(())
}

struct Server {
    stream: BufReader<UnixStream>,
}

impl Server {
    fn connect(socket: &str) -> Result<Server> {
        Ok(Server { stream: BufReader::new(UnixStream::connect(socket)?) })
    }

    /// One container, as docker's client runs it: whoever waits for its end does so before its start,
    /// over a connection of its own, and it goes by itself.
    fn run(&mut self, second: &mut Server) -> Result<usize> {
        let wanted = r#"{"Image":"bb:1","Cmd":["true"],"HostConfig":{"NetworkMode":"none","AutoRemove":true}}"#;
        let made = String::from_utf8(self.ask("POST", "/containers/create", wanted)?)?;
        let id = made.split('"').nth(3).ok_or("the answer has no id")?.to_owned();
        second.send("POST", &format!("/containers/{id}/wait?condition=next-exit"), "")?;
        self.ask("POST", &format!("/containers/{id}/start"), "")?;
        Ok(second.answer("wait")?.len())
    }

    /// Asks once, and gives what the answer carries.
    fn ask(&mut self, method: &str, path: &str, document: &str) -> Result<Vec<u8>> {
        self.send(method, path, document)?;
        self.answer(path)
    }

    fn send(&mut self, method: &str, path: &str, document: &str) -> Result {
        let length = document.len();
        let kind = if length > 0 { "Content-Type: application/json\r\n" } else { "" };
        write!(
            self.stream.get_mut(),
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: {length}\r\n\r\n{document}"
        )?;
        Ok(())
    }

    fn answer(&mut self, path: &str) -> Result<Vec<u8>> {
        let first = self.line()?;
        if !first.starts_with("HTTP/1.1 2") {
            return Err(format!("{path}: {first}").into());
        }
        let (mut length, mut pieces) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", number)) => length = number.trim().parse()?,
                Some(("transfer-encoding", _)) => pieces = true,
                Some(_) => {}
            }
        }
        let mut body = Vec::new();
        if !pieces {
            self.take(length, &mut body)?;
            return Ok(body);
        }
        loop {
            let length = usize::from_str_radix(&self.line()?, 16)?;
            self.take(length, &mut body)?;
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err("the connection was closed".into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn take(&mut self, length: usize, into: &mut Vec<u8>) -> Result {
        let begin = into.len();
        into.resize(begin + length, 0);
        Ok(self.stream.read_exact(&mut into[begin..])?)
    }
}
