//! Everything a registry can do wrong has an end, and an error that says what it was.

use std::io::Read;
use std::time::{Duration, Instant};

use registry::{Access, Client, ClientSettings, RegistryError, Sent, Target};
use spec::{Digest, MediaType};

use crate::server::{Asked, Deed, Server, answer, blob, client, quick_client, settings};

const MANIFEST: &[u8] = b"{\"schemaVersion\":2}";

fn tag() -> Target {
    Target::Tag("latest".to_owned())
}

fn document(server: &Server) -> Result<registry::RemoteDocument, RegistryError> {
    client().repository(&server.name("a"), Access::Pull).unwrap().document(&tag())
}

/// Reads a blob as far as it comes.
fn read(server: &Server, digest: Digest, bytes: u64) -> Result<Vec<u8>, RegistryError> {
    read_by(&client(), server, digest, bytes)
}

fn read_by(
    client: &Client,
    server: &Server,
    digest: Digest,
    bytes: u64,
) -> Result<Vec<u8>, RegistryError> {
    let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
    let mut all = Vec::new();
    match repository.blob(digest, bytes)?.read_to_end(&mut all) {
        Ok(_) => Ok(all),
        Err(error) => Err(error.downcast::<RegistryError>().unwrap()),
    }
}

#[test]
fn a_document_is_what_its_digest_says() {
    let other = Digest::of(b"other");
    let headers = vec![("Docker-Content-Digest", other.to_string())];
    let server = Server::new(move |_, _| Deed::Answer(200, headers.clone(), MANIFEST.to_vec()));
    let error = document(&server).unwrap_err();
    assert!(
        matches!(error, RegistryError::WrongDigest { wanted, .. } if wanted == other),
        "{error}"
    );
    let client = client();
    let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
    let error = repository.document(&Target::Digest(other)).unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error}");
    let server = Server::new(|_, _| {
        Deed::Answer(200, vec![("Docker-Content-Digest", "sha256:x".to_owned())], MANIFEST.to_vec())
    });
    assert!(matches!(document(&server).unwrap_err(), RegistryError::Malformed { .. }));
}

#[test]
fn a_giant_document_is_refused_before_it_is_here() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let piece = [b"10000\r\n".to_vec(), vec![b' '; 1 << 16], b"\r\n".to_vec()].concat();
    let server = Server::new(move |_, _| Deed::Endless(head.clone(), piece.clone()));
    let error = document(&server).unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { limit, .. } if limit == 8 << 20), "{error}");
}

#[test]
fn headers_have_an_end() {
    let line = format!("X-Y: {}\r\n", "z".repeat(1000)).into_bytes();
    let server =
        Server::new(move |_, _| Deed::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), line.clone()));
    let error = document(&server).unwrap_err();
    assert!(matches!(error, RegistryError::Transport { .. }), "{error}");
}

#[test]
fn a_document_that_drips_is_given_up() {
    let mut pieces = vec![b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec()];
    pieces.extend(vec![b" ".to_vec(); 1000]);
    let server = Server::new(move |_, _| Deed::Raw(pieces.clone(), Duration::from_millis(20)));
    let begun = Instant::now();
    let client = quick_client();
    let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
    let error = repository.document(&tag()).unwrap_err();
    assert!(matches!(error, RegistryError::Transport { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn a_redirect_loop_ends() {
    let server = Server::new(|asked, _| {
        Deed::Answer(307, vec![("Location", asked.path.clone())], Vec::new())
    });
    let error = document(&server).unwrap_err();
    assert!(matches!(error, RegistryError::Redirects { .. }), "{error}");
    assert_eq!(server.asked().len(), 11);
}

#[test]
fn a_storm_of_429_ends_and_a_pause_is_kept() {
    let server = Server::new(|_, _| answer(429, "{}"));
    let error = document(&server).unwrap_err();
    assert!(matches!(error, RegistryError::Status { status: 429, .. }), "{error}");
    assert_eq!(server.asked().len(), 5);
    let server = Server::new(|_, before| match before {
        0 => Deed::Answer(429, vec![("Retry-After", "1".to_owned())], Vec::new()),
        _ => answer(200, MANIFEST),
    });
    let begun = Instant::now();
    assert_eq!(document(&server).unwrap().bytes, MANIFEST);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_pause_of_a_year_is_not_kept() {
    let server = Server::new(|_, before| match before {
        0 => Deed::Answer(503, vec![("Retry-After", "31536000".to_owned())], Vec::new()),
        _ => answer(200, MANIFEST),
    });
    let begun = Instant::now();
    document(&server).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(25));
    // Who may not ask for an hour is not asked again.
    let server =
        Server::new(|_, _| Deed::Answer(429, vec![("Retry-After", "3600".to_owned())], Vec::new()));
    let error = document(&server).unwrap_err();
    assert!(matches!(error, RegistryError::Status { status: 429, .. }), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_host_that_must_prove_who_it_is_cannot_speak_plainly() {
    let server = Server::new(|_, _| answer(200, MANIFEST));
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join(&server.host);
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("ca.crt"), "").unwrap();
    let certificates = vec![folder.path().to_owned()];
    let client = Client::new(ClientSettings { certificates, ..settings() });
    let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
    let error = repository.document(&tag()).unwrap_err();
    assert!(matches!(error, RegistryError::PlainServer { .. }), "{error}");
    assert!(error.to_string().ends_with("http: server gave HTTP response to HTTPS client"));
    assert!(server.asked().is_empty());
}

#[test]
fn errors_are_told_in_the_registrys_words() {
    let text = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such thing","detail":{}}]}"#;
    let server = Server::new(move |_, _| answer(404, text));
    let error = document(&server).unwrap_err();
    assert_eq!(error.to_string(), "name unknown: no such thing");
    assert!(error.has_code("NAME_UNKNOWN") && error.is_missing());
    let server = Server::new(|_, _| answer(400, "<html>"));
    let text = document(&server).unwrap_err().to_string();
    let expected = "error parsing HTTP 400 response body: \
        invalid character '<' looking for beginning of value: \"<html>\"";
    assert_eq!(text, expected);
}

#[test]
fn a_list_of_nonsense_is_an_error() {
    for body in ["{", "{\"tags\":[1]}", "null"] {
        let server = Server::new(move |_, _| answer(200, body));
        let client = client();
        let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
        let error = repository.tags().unwrap_err();
        assert!(matches!(error, RegistryError::Malformed { .. }), "{body}: {error}");
    }
}

#[test]
fn a_list_that_leads_to_itself_ends() {
    let server = Server::new(|asked, _| {
        let link = format!("<{}>; rel=\"next\"", asked.path);
        Deed::Answer(200, vec![("Link", link)], b"{\"tags\":[\"a\"]}".to_vec())
    });
    let client = client();
    let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
    assert!(matches!(repository.tags().unwrap_err(), RegistryError::Malformed { .. }));
}

#[test]
fn pages_are_put_together() {
    let server = Server::new(|asked, _| match asked.path.split_once("last=") {
        None => {
            let link = "</v2/a/tags/list?last=2&n=2>; rel=\"next\"".to_owned();
            Deed::Answer(200, vec![("Link", link)], br#"{"name":"a","tags":["1","2"]}"#.to_vec())
        }
        Some(_) => answer(200, r#"{"name":"a","tags":["3"]}"#),
    });
    let client = client();
    let tags = client.repository(&server.name("a"), Access::Pull).unwrap().tags().unwrap();
    assert_eq!(tags, ["1", "2", "3"]);
}

#[test]
fn a_blob_of_another_length_is_refused_at_once() {
    let (bytes, digest) = blob(100);
    let server = Server::new(move |_, _| answer(200, &bytes));
    for wanted in [99, 101] {
        let error = read(&server, digest, wanted).unwrap_err();
        assert!(matches!(error, RegistryError::WrongLength { got: 100, .. }), "{error}");
    }
}

#[test]
fn an_endless_blob_ends_where_it_should() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let piece = [b"400\r\n".to_vec(), vec![7; 1024], b"\r\n".to_vec()].concat();
    let server = Server::new(move |_, _| Deed::Endless(head.clone(), piece.clone()));
    let error = read(&server, Digest::of(b"x"), 5000).unwrap_err();
    assert!(matches!(error, RegistryError::WrongLength { wanted: 5000, .. }), "{error}");
}

/// Answers a request for a blob from where it is asked, and hangs up after so many bytes.
fn cut_after(asked: &Asked, bytes: &[u8], count: usize) -> Deed {
    let range = asked.header("range").and_then(|range| range.strip_prefix("bytes="));
    let start: usize = range.map_or(0, |range| range.split('-').next().unwrap().parse().unwrap());
    let rest = &bytes[start..];
    let status = match start {
        0 => "200 OK\r\n".to_owned(),
        _ => {
            format!("206 P\r\nContent-Range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len())
        }
    };
    let head = format!("HTTP/1.1 {status}Content-Length: {}\r\n\r\n", rest.len()).into_bytes();
    Deed::Raw(vec![head, rest[..count.min(rest.len())].to_vec()], Duration::ZERO)
}

#[test]
fn a_connection_that_is_cut_goes_on_where_it_ended() {
    let (bytes, digest) = blob(300_000);
    for cut in [1, 4096, 65_536, 100_001, 299_999] {
        let whole = bytes.clone();
        let server = Server::new(move |asked, before| match before {
            0 => cut_after(asked, &whole, cut),
            _ => cut_after(asked, &whole, usize::MAX),
        });
        assert!(read(&server, digest, 300_000).unwrap() == bytes, "cut after {cut}");
        let asked = server.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[1].header("range"), Some(format!("bytes={cut}-299999").as_str()));
    }
}

#[test]
fn a_server_without_ranges_is_read_again() {
    let (bytes, digest) = blob(100_000);
    let whole = bytes.clone();
    let server = Server::new(move |asked, before| match before {
        0 => cut_after(asked, &whole, 50_000),
        _ => answer(200, &whole),
    });
    assert!(read(&server, digest, 100_000).unwrap() == bytes);
}

#[test]
fn a_range_that_was_not_asked_for_is_refused() {
    let (bytes, digest) = blob(100_000);
    let server = Server::new(move |asked, before| match before {
        0 => cut_after(asked, &bytes, 50_000),
        _ => {
            let range = "bytes 0-99999/100000".to_owned();
            Deed::Answer(206, vec![("Content-Range", range)], bytes.clone())
        }
    });
    let error = read(&server, digest, 100_000).unwrap_err();
    assert!(matches!(error, RegistryError::Malformed { .. }), "{error}");
}

#[test]
fn a_range_of_something_else_is_refused() {
    let check = |range: &'static str| {
        let (bytes, digest) = blob(100_000);
        let server = Server::new(move |asked, before| match before {
            0 => cut_after(asked, &bytes, 50_000),
            _ => {
                let rest = bytes[50_000..].to_vec();
                Deed::Answer(206, vec![("Content-Range", range.to_owned())], rest)
            }
        });
        read(&server, digest, 100_000)
    };
    check("bytes 50000-99999/100000").unwrap();
    check("bytes 50000-99999/*").unwrap();
    let error = check("bytes 50000-99999/200000").unwrap_err();
    assert!(matches!(error, RegistryError::WrongLength { got: 200_000, .. }), "{error}");
    for range in ["bytes 50000-89999/100000", "bytes 50000/100000", "bytes */100000", "", "x"] {
        let error = check(range).unwrap_err();
        assert!(matches!(error, RegistryError::Malformed { .. }), "{range}: {error}");
    }
}

#[test]
fn what_is_another_blob_by_now_is_not_taken_for_the_rest() {
    let (bytes, digest) = blob(100_000);
    let other: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
    for has_ranges in [true, false] {
        let (bytes, other) = (bytes.clone(), other.clone());
        let server = Server::new(move |asked, before| match before {
            0 => cut_after(asked, &bytes, 50_000),
            _ if has_ranges => cut_after(asked, &other, usize::MAX),
            _ => answer(200, &other),
        });
        let client = client();
        let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
        let error = repository.small_blob(digest, 100_000, 100_000).unwrap_err();
        assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error}");
    }
}

#[test]
fn a_connection_that_is_always_cut_is_given_up() {
    let (bytes, digest) = blob(100_000);
    let server = Server::new(move |asked, _| cut_after(asked, &bytes, 1));
    let error = read(&server, digest, 100_000).unwrap_err();
    assert!(matches!(error, RegistryError::Stalled { .. }), "{error}");
    assert!(server.asked().len() <= 6, "{}", server.asked().len());
}

#[test]
fn a_blob_that_drips_is_given_up() {
    let mut pieces = vec![b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec()];
    pieces.extend(vec![b"x".to_vec(); 1000]);
    let server = Server::new(move |asked, _| match asked.header("range") {
        None => Deed::Raw(pieces.clone(), Duration::from_millis(20)),
        Some(_) => answer(500, "{}"),
    });
    let begun = Instant::now();
    assert!(read_by(&quick_client(), &server, Digest::of(b"x"), 100_000).is_err());
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
}

#[test]
fn an_upload_goes_on_where_the_registry_is() {
    goes_on_after(503, "{}");
    // What says so need not be a registry's words.
    goes_on_after(416, "<html>");
}

/// An upload to a registry that refuses it in the middle, and then says where it is.
fn goes_on_after(status: u16, text: &'static str) {
    let (bytes, digest) = blob(200_000);
    let server = Server::new(move |asked, _| match asked.method.as_str() {
        "POST" => Deed::Answer(202, vec![("Location", "/v2/a/up/1?s=1".to_owned())], Vec::new()),
        "PUT" if asked.body.len() == 200_000 => answer(status, text),
        "GET" => {
            let headers =
                vec![("Location", "/v2/a/up/1?s=2".to_owned()), ("Range", "0-149999".to_owned())];
            Deed::Answer(204, headers, Vec::new())
        }
        "PATCH" => {
            let headers =
                vec![("Location", "/v2/a/up/1?s=3".to_owned()), ("Range", "0-199999".to_owned())];
            Deed::Answer(202, headers, Vec::new())
        }
        _ => answer(201, ""),
    });
    let client = client();
    let repository = client.repository(&server.name("a"), Access::Push).unwrap();
    let open = |at: u64| Ok(Box::new(&bytes[at as usize..]) as Box<dyn Read>);
    repository.put_blob(&digest, 200_000, None, &open).unwrap();
    let asked = server.asked();
    let patch = asked.iter().find(|asked| asked.method == "PATCH").unwrap();
    assert_eq!(patch.header("content-range"), Some("150000-199999"));
    assert_eq!((patch.path.as_str(), patch.body.len()), ("/v2/a/up/1?s=2", 50_000));
    let last = asked.last().unwrap();
    assert!(last.method == "PUT" && last.path.starts_with("/v2/a/up/1?s=3&digest=sha256%3A"));
}

const LOST: &str = r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"blob upload unknown"}]}"#;

#[test]
fn an_upload_that_the_registry_lost_begins_again_once() {
    let upload = |losses: usize| {
        let (bytes, digest) = blob(200_000);
        let begun = std::sync::atomic::AtomicUsize::new(0);
        let server = Server::new(move |asked, _| match asked.method.as_str() {
            "POST" => {
                let count = begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let place = format!("/v2/a/up/{count}");
                Deed::Answer(202, vec![("Location", place)], Vec::new())
            }
            "PUT" if asked.path.starts_with(&format!("/v2/a/up/{losses}")) => answer(201, ""),
            _ => answer(404, LOST),
        });
        let client = client();
        let repository = client.repository(&server.name("a"), Access::Push).unwrap();
        let open = |at: u64| Ok(Box::new(&bytes[at as usize..]) as Box<dyn Read>);
        let sent = repository.put_blob(&digest, 200_000, None, &open);
        let asked = server.asked();
        let puts = asked.iter().filter(|asked| asked.method == "PUT");
        (sent, puts.map(|put| put.body.len()).collect::<Vec<_>>())
    };
    let (sent, puts) = upload(1);
    assert_eq!((sent.unwrap(), puts), (Sent::Whole, vec![200_000; 2]));
    let (sent, puts) = upload(2);
    assert!(sent.unwrap_err().has_code("BLOB_UPLOAD_UNKNOWN") && puts.len() == 2);
}

#[test]
fn an_upload_that_is_done_need_not_be_done_again() {
    // The answer to the end of an upload is lost; asked again, the registry knows of none.
    let server = Server::new(move |asked, _| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", _) => Deed::Answer(202, vec![("Location", "/v2/a/up/1".to_owned())], Vec::new()),
        ("PATCH", _) => Deed::Answer(202, vec![("Range", "0-17".to_owned())], Vec::new()),
        ("HEAD", path) if path.contains("/blobs/sha256:") => answer(200, "x"),
        _ => answer(404, LOST),
    });
    let client = client();
    let repository = client.repository(&server.name("a"), Access::Push).unwrap();
    let pieces = b"one two three four";
    let registry::Begun::Waiting(mut upload) = repository.begin_upload(None).unwrap() else {
        panic!("mounted")
    };
    upload.piece(pieces).unwrap();
    upload.finish(&Digest::of(pieces)).unwrap();
    let registry::Begun::Waiting(upload) = repository.begin_upload(None).unwrap() else {
        panic!("mounted")
    };
    upload.cancel().unwrap();
}

#[test]
fn a_registry_that_names_another_digest_is_not_believed() {
    let headers = vec![("Docker-Content-Digest", Digest::of(b"else").to_string())];
    let server = Server::new(move |_, _| Deed::Answer(201, headers.clone(), Vec::new()));
    let client = client();
    let repository = client.repository(&server.name("a"), Access::Push).unwrap();
    let error = repository.put_document(&tag(), &MediaType::OciManifest, MANIFEST).unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error}");
}

#[test]
fn warnings_are_heard_once_and_fit_a_terminal() {
    let headers = vec![("Warning", "299 - \"soon \u{1b}[31mgone\"".replace('\u{1b}', ""))];
    let server = Server::new(move |_, _| Deed::Answer(200, headers.clone(), MANIFEST.to_vec()));
    let client = client();
    let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
    repository.document(&tag()).unwrap();
    repository.document(&tag()).unwrap();
    assert_eq!(client.take_warnings(), ["soon [31mgone"]);
    assert!(client.take_warnings().is_empty());
}

#[test]
fn referrers_come_from_the_tag_where_the_registry_has_no_list() {
    let subject = Digest::of(b"subject");
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{subject}","size":7,"artifactType":"a/b"}}]}}"#
    );
    for status in [400, 404, 405] {
        let index = index.clone();
        let server = Server::new(move |asked, _| match asked.path.contains("/manifests/sha256-") {
            true => answer(200, &index),
            false => answer(status, "{}"),
        });
        let client = client();
        let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
        assert_eq!(repository.referrers(&subject, Some("a/b")).unwrap().len(), 1);
        assert!(repository.referrers(&subject, Some("c/d")).unwrap().is_empty());
    }
    let server = Server::new(|_, _| answer(403, "{}"));
    let client = client();
    let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
    assert!(repository.referrers(&subject, None).is_err());
}

#[test]
fn a_head_that_is_cut_anywhere_is_an_error() {
    let digest = Digest::of(MANIFEST);
    let whole = format!(
        "HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\nContent-Length: {}\r\n\r\n{}",
        MANIFEST.len(),
        String::from_utf8_lossy(MANIFEST)
    );
    for cut in (0..whole.len()).step_by(3) {
        let piece = whole.as_bytes()[..cut].to_vec();
        let server = Server::new(move |_, _| Deed::Raw(vec![piece.clone()], Duration::ZERO));
        let error = document(&server).unwrap_err();
        assert!(matches!(error, RegistryError::Transport { .. }), "cut after {cut}: {error}");
    }
    let server = Server::new(move |_, _| Deed::Raw(vec![whole.clone().into()], Duration::ZERO));
    assert_eq!(document(&server).unwrap().bytes, MANIFEST);
}

/// The most memory that this process has had so far.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn what_is_sent_is_not_held_in_memory() {
    const BYTES: u64 = 192 << 20;
    let before = peak_bytes();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n").into_bytes();
    let server = Server::new(move |_, _| Deed::Endless(head.clone(), vec![7; 1 << 16]));
    let client = client();
    let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
    let mut blob = repository.blob(Digest::of(b"x"), BYTES).unwrap();
    assert_eq!(std::io::copy(&mut blob, &mut std::io::sink()).unwrap(), BYTES);
    // A manifest, a list and an error without end are given up, and not kept up to there.
    let head = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let piece = [b"10000\r\n".to_vec(), vec![b'['; 1 << 16], b"\r\n".to_vec()].concat();
    let server = Server::new(move |_, _| Deed::Endless(head.clone(), piece.clone()));
    let repository = client.repository(&server.name("a"), Access::Pull).unwrap();
    assert!(repository.document(&tag()).is_err() && repository.tags().is_err());
    let grown = peak_bytes() - before;
    assert!(grown < 48 << 20, "{} MiB more than before", grown >> 20);
}
