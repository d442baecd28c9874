//! What clients do wrong on the wire, and what outlives the registry.

use std::io::{BufReader, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use hub::Mode;
use serde_json::json;
use spec::Digest;

use crate::client::{Answer, connect, with_query};
use crate::server::{CONFIG, Registry, digest_of, image};

#[test]
fn an_upload_goes_on_after_a_restart() {
    let registry = Registry::ours();
    let location = registry.begin("a/b");
    registry.ask("PATCH", &*location).body("hello ").send().is(202);
    let registry = Registry::ours_in(registry.stop(), |_| {});
    assert_eq!(registry.get(&*location).is(204).must("range"), "0-5");
    let patch = registry.ask("PATCH", &*location).header("Content-Range", "6-10").body("world");
    patch.send().is(202);
    let digest = Digest::of(b"hello world");
    let put = registry.ask("PUT", with_query(&location, &format!("digest={digest}")));
    put.body("").send().is(201);
    let registry = Registry::ours_in(registry.stop(), |_| {});
    assert_eq!(registry.get(format!("/v2/a/b/blobs/{digest}")).body, b"hello world");
    assert_eq!(std::fs::read_dir(registry.root().join("uploads")).unwrap().count(), 0);
}

#[test]
fn what_came_before_a_cut_is_not_lost() {
    let registry = Registry::ours();
    let location = registry.begin("cut");
    let mut stream = connect(&registry.host);
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello");
    stream.write_all(head.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = Answer::read(&mut BufReader::new(stream), false).unwrap();
    answer.is(400).says("BLOB_UPLOAD_INVALID");
    assert_eq!(registry.get(&*location).is(204).must("range"), "0-4");
    let query = format!("digest={}", Digest::of(b"hello"));
    registry.ask("PUT", with_query(&location, &query)).body("").send().is(201);
}

#[test]
fn everything_is_there_after_a_restart() {
    let registry = Registry::ours();
    let manifest = registry.push_image("app", "1", "layer");
    let registry = Registry::ours_in(registry.stop(), |settings| settings.mode = Mode::ReadOnly);
    assert_eq!(registry.get("/v2/app/manifests/1").is(200).digest(), digest_of(&manifest));
    assert_eq!(registry.get("/v2/app/tags/list").json(), json!({ "name": "app", "tags": ["1"] }));
    // Reading is all that is allowed now.
    registry.put_manifest("app", "2", &manifest).is(405).says("UNSUPPORTED");
    registry.ask("POST", "/v2/app/blobs/uploads/").body("").send().is(405).says("UNSUPPORTED");
    registry.delete("/v2/app/manifests/1").is(405).says("UNSUPPORTED");
}

#[test]
fn what_may_not_be_deleted_stays() {
    let registry = Registry::ours_with(|settings| settings.mode = Mode::NoDelete);
    registry.push_image("app", "1", "layer");
    let refused = registry.delete("/v2/app/manifests/1").is(405).says("UNSUPPORTED");
    assert_eq!(refused.must("allow"), "GET, HEAD, PUT");
    assert_eq!(refused.json()["errors"][0]["detail"], json!("the registry lets nobody delete"));
    let location = registry.begin("app");
    registry.delete(location).is(204);
}

#[test]
fn what_cannot_be_understood_is_said_in_the_apis_words() {
    let registry = Registry::ours();
    for path in ["/v2/?x=%zz", "/v2/%zz"] {
        let answer = registry.get(path).is(400).says("UNSUPPORTED");
        assert_eq!(answer.must("docker-distribution-api-version"), "registry/2.0");
        assert!(answer.must("content-type").starts_with("application/json"));
    }
}

#[test]
fn several_requests_share_a_connection() {
    let registry = Registry::ours();
    let digest = registry.push("app", b"hello");
    let mut stream = BufReader::new(connect(&registry.host));
    let path = format!("/v2/app/blobs/{digest}");
    let asks: Vec<u8> = ["GET", "HEAD", "GET"]
        .iter()
        .flat_map(|method| registry.ask(method, &*path).bytes())
        .collect();
    // All at once, as a client may that does not wait.
    stream.get_mut().write_all(&asks).unwrap();
    for is_head in [false, true, false] {
        let answer = Answer::read(&mut stream, is_head).unwrap().is(200);
        assert_eq!(answer.body.is_empty(), is_head);
        assert_eq!(answer.header("connection"), None);
    }
    // A body that nobody wants is passed over.
    let refused = registry.ask("PUT", "/v2/app/nothing").body(vec![b'x'; 10_000]).bytes();
    stream.get_mut().write_all(&refused).unwrap();
    Answer::read(&mut stream, false).unwrap().is(404);
    stream.get_mut().write_all(&registry.ask("GET", path).bytes()).unwrap();
    Answer::read(&mut stream, false).unwrap().is(200);
}

#[test]
fn who_waits_for_leave_gets_it_or_the_answer() {
    let registry = Registry::ours();
    let location = registry.begin("app");
    let mut stream = BufReader::new(connect(&registry.host));
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    Answer::read(&mut stream, false).unwrap().is(100);
    stream.get_mut().write_all(b"hello").unwrap();
    Answer::read(&mut stream, false).unwrap().is(202);
    let head = head.replace("PATCH", "PUT");
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let answer = Answer::read(&mut stream, false).unwrap().is(400);
    assert_eq!(answer.must("connection"), "close");
}

#[test]
fn nonsense_is_answered_and_ends_the_connection() {
    let registry = Registry::ours();
    let check = |text: &[u8], status: u16| {
        let mut stream = connect(&registry.host);
        stream.write_all(text).unwrap();
        let answer = Answer::read(&mut BufReader::new(stream), false).unwrap();
        assert_eq!((answer.is(status).must("connection")), "close");
    };
    check(b"nonsense\r\n\r\n", 400);
    check(b"GET /v2/ HTTP/9.9\r\n\r\n", 505);
    check(b"PUT /v2/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400);
    let long = format!("GET /v2/ HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    check(long.as_bytes(), 431);
    let many = format!("GET /v2/ HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200));
    check(many.as_bytes(), 431);
    registry.get("/v2/").is(200);
}

#[test]
fn paths_do_not_leave_the_folder() {
    let registry = Registry::ours();
    std::fs::write(registry.root().join("secret"), "x").unwrap();
    for path in [
        "/v2/../../secret",
        "/v2/a/manifests/..%2f..%2f..%2f..%2fsecret",
        "/v2/a/blobs/uploads/..%2f..%2fsecret",
        "/v2/..%2f..%2f/blobs/uploads/",
        "/v2/a/blobs/sha256:..%2f..%2fsecret",
        "/v2/a%00b/tags/list",
    ] {
        registry.get(path).either(&[400, 404, 405]);
    }
}

#[test]
fn one_upload_has_one_writer() {
    let registry = Registry::ours();
    let location = registry.begin("two");
    let mut first = BufReader::new(connect(&registry.host));
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello");
    first.get_mut().write_all(head.as_bytes()).unwrap();
    let began = Instant::now();
    while registry.get(&*location).status != 409 {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
    registry.ask("PATCH", &*location).body("x").send().is(409).says("BLOB_UPLOAD_INVALID");
    first.get_mut().write_all(b"world").unwrap();
    assert_eq!(Answer::read(&mut first, false).unwrap().is(202).must("range"), "0-9");
}

#[test]
fn a_registry_that_stops_lets_requests_finish() {
    let registry = Registry::ours();
    let host = registry.host.clone();
    let location = registry.begin("app");
    let mut idle = BufReader::new(connect(&host));
    idle.get_mut().write_all(&registry.ask("GET", "/v2/").bytes()).unwrap();
    Answer::read(&mut idle, false).unwrap().is(200);
    let mut busy = BufReader::new(connect(&host));
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello");
    busy.get_mut().write_all(head.as_bytes()).unwrap();
    while registry.get(&*location).status != 409 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let stopped = std::thread::spawn(move || registry.stop());
    assert!(Answer::read(&mut idle, false).is_none(), "who waits for nothing is sent away");
    busy.get_mut().write_all(b"world").unwrap();
    let answer = Answer::read(&mut busy, false).unwrap().is(202);
    assert_eq!(answer.must("connection"), "close");
    let registry = Registry::ours_in(stopped.join().unwrap(), |_| {});
    assert_eq!(registry.get(location).is(204).must("range"), "0-9");
}

#[test]
fn the_same_blob_arrives_many_times_at_once() {
    let registry = Registry::ours();
    let bytes = vec![9; 1 << 20];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let digest = registry.push("same", &bytes);
                registry.push("same", CONFIG);
                registry.put_manifest("same", "1", &image(CONFIG, &[&bytes])).is(201);
                assert_eq!(registry.get(format!("/v2/same/blobs/{digest}")).body, bytes);
            });
        }
    });
    assert_eq!(registry.get("/v2/same/tags/list").json()["tags"], json!(["1"]));
}
