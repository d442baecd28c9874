//! Many at once: who follows logs, who builds, who listens for events. Nothing is lost, and nobody
//! makes the server grow.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use super::support::{Server, answered};
use crate::containers::support::Root;

const FOLLOWERS: usize = 50;
const BUILDS: usize = 20;
const LINES: usize = 100;

fn ask(server: &Server<'_>, path: &str) -> UnixStream {
    let mut stream = server.connect();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

/// What pieces of both streams say together.
fn plain(mut pieces: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some((head, rest)) = pieces.split_at_checked(8) {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        all.extend_from_slice(&rest[..length]);
        pieces = &rest[length..];
    }
    all
}

#[test]
fn followers_builders_and_listeners_are_served_at_once() {
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    let script = format!(
        "while ! test -e /tmp/go; do sleep 0.02; done; n=0; while test $n -lt {LINES}; do n=$((n+1)); echo line-$n; done"
    );
    root.ok(&format!("run -d --name one --network none bb sh -c '{script}'"));
    let lines: String = (1..=LINES).map(|number| format!("line-{number}\n")).collect();
    let events = ask(&server, "/events");
    std::thread::scope(|scope| {
        let listener = scope.spawn(move || {
            let mut told = Vec::new();
            for line in BufReader::new(events).lines() {
                told.push(line.unwrap());
                if told.last().is_some_and(|line| line.contains("\"sentinel\"")) {
                    break;
                }
            }
            told
        });
        let followers: Vec<_> = (0..FOLLOWERS)
            .map(|_| {
                let mut stream = ask(&server, "/containers/one/logs?follow=1&stdout=1&stderr=1");
                scope.spawn(move || {
                    let mut said = Vec::new();
                    stream.read_to_end(&mut said).unwrap();
                    plain(&answered(&said).body)
                })
            })
            .collect();
        let builders: Vec<_> = (0..BUILDS)
            .map(|number| {
                let server = &server;
                scope.spawn(move || {
                    let text = format!("FROM bb\nRUN echo {} > /own\n", number % 4);
                    let head = format!("Content-Length: {}\r\n", text.len());
                    let path = format!("/build?t=built-{number}&networkmode=none");
                    server.send_raw("POST", &path, &head, text.as_bytes())
                })
            })
            .collect();
        // Whoever is let go may end before the word that let it go.
        root.run("exec one touch /tmp/go");
        for follower in followers {
            assert_eq!(String::from_utf8(follower.join().unwrap()).unwrap(), lines);
        }
        for (number, builder) in builders.into_iter().enumerate() {
            let answer = builder.join().unwrap();
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(text.contains(&format!("Successfully tagged built-{number}:latest")), "{text}");
        }
        assert_eq!(server.send("POST", "/volumes/create", r#"{"Name":"sentinel"}"#).status, 201);
        let told = listener.join().unwrap();
        for number in 0..BUILDS {
            let name = format!("built-{number}:latest");
            let tagged = |line: &&String| line.contains("\"tag\"") && line.contains(&name);
            assert_eq!(told.iter().filter(tagged).count(), 1, "{name}: {told:#?}");
        }
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 300 << 10, "{peak} KiB");
    root.ok("rm one");
}

#[test]
fn two_hundred_clients_are_answered_at_once() {
    const CLIENTS: usize = 200;
    let Some(root) = Root::new() else { return };
    let server = Server::start(&root);
    for number in 0..10 {
        root.ok(&format!("create --name c{number} --network none bb true"));
    }
    let together = std::sync::Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (server, together) = (&server, &together);
            scope.spawn(move || {
                // All of them are there before the first one asks.
                let mut stream = server.connect();
                together.wait();
                let path = match number % 4 {
                    0 => "/_ping".to_owned(),
                    1 => "/containers/json?all=1".to_owned(),
                    2 => format!("/containers/c{}/json", number % 10),
                    _ => "/images/bb/json".to_owned(),
                };
                write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    .unwrap();
                let mut said = Vec::new();
                stream.read_to_end(&mut said).unwrap();
                let answer = answered(&said);
                assert_eq!(answer.status, 200, "{path}: {answer:?}");
                match number % 4 {
                    0 => assert_eq!(answer.body, b"OK"),
                    1 => assert_eq!(answer.json().as_array().unwrap().len(), 10),
                    2 => assert_eq!(answer.json()["Name"], format!("/c{}", number % 10)),
                    _ => assert_eq!(answer.json()["RepoTags"][0], "bb:latest"),
                }
            });
        }
    });
    assert_eq!(server.get("/_ping").status, 200);
}
