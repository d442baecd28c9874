//! Steps that others did, through buckets of object stores and GitHub's cache: a server of this file
//! stands for them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Builds, done};
use crate::support::Run;

/// The second layer is longer than what is sent at once.
const FILE: &str = "FROM bb AS tool\nRUN head -c 99 /dev/urandom > /tool\nFROM bb\nCOPY f /f\n\
                    RUN head -c 34000000 /dev/urandom > /own\nCOPY --from=tool /tool /tool\n";

/// What lies in the store, by path, in the order in which it came; blocks that are not joined yet.
#[derive(Default)]
struct Kept {
    objects: Vec<(String, Vec<u8>)>,
    parts: BTreeMap<(String, String), Vec<u8>>,
    /// Keys of GitHub's that are begun.
    begun: Vec<String>,
    /// Methods and paths of what changed something.
    wrote: Vec<String>,
}

/// As much of S3, Azure's blobs and GitHub's service as is asked for here, in one server.
struct Depot {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    range: Option<(usize, usize)>,
    body: Vec<u8>,
}

impl Depot {
    fn new() -> Depot {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, kept) = (listener.local_addr().unwrap(), Arc::<Mutex<Kept>>::default());
        let depot = Depot { address, kept: kept.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = kept.clone();
                std::thread::spawn(move || serve(stream, address, &kept));
            }
        });
        depot
    }

    /// What was written since, by path.
    fn wrote(&self) -> Vec<String> {
        std::mem::take(&mut self.kept.lock().unwrap().wrote)
    }

    fn paths(&self) -> Vec<String> {
        self.kept.lock().unwrap().objects.iter().map(|(path, _)| path.clone()).collect()
    }
}

fn serve(mut stream: TcpStream, address: SocketAddr, kept: &Mutex<Kept>) -> Option<()> {
    let request = read(&stream)?;
    let (status, head, body) = answer(&request, address, &mut kept.lock().unwrap());
    let length = match request.method.as_str() {
        "HEAD" => head.0,
        _ => body.len(),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nETag: \"1\"\r\nContent-Length: {length}\r\n\
         Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n{}\r\n",
        head.1
    );
    stream.write_all(head.as_bytes()).ok()?;
    let body = if request.method == "HEAD" { &[][..] } else { &body };
    stream.write_all(body).ok()
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines.first()?.split(' ').map(str::to_owned);
    let (method, target) = (first.next()?, first.next()?);
    let field = |wanted: &str| {
        lines.iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case(wanted).then(|| value.to_owned())
        })
    };
    if field("expect").is_some() {
        (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let length = field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let range = field("range").and_then(|text| {
        let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    });
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = path.replace("%3A", ":");
    Some(Request { method, path, query: query.to_owned(), range, body })
}

/// A status, the length and further lines of the head, and the body.
type Answer = (u16, (usize, String), Vec<u8>);

fn answer(request: &Request, address: SocketAddr, kept: &mut Kept) -> Answer {
    let Request { method, path, query, range, body } = request;
    let plain = |status, body: Vec<u8>| (status, (body.len(), String::new()), body);
    let parameter = |name: &str| {
        let found =
            query.split('&').find_map(|pair| pair.split_once('=').filter(|it| it.0 == name));
        found.map(|(_, value)| value.to_owned())
    };
    if path.contains("/twirp/") {
        let asked: Value = serde_json::from_slice(body).unwrap();
        let told = github(path.rsplit('/').next().unwrap(), &asked, address, kept);
        return told
            .map_or_else(|| plain(409, b"{}".to_vec()), |it| plain(200, it.to_string().into()));
    }
    if method == "POST" && query.starts_with("uploads") {
        let begun = "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>\
                     <UploadId>1</UploadId></InitiateMultipartUploadResult>";
        return plain(200, begun.into());
    }
    if method == "PUT"
        && let Some(part) = parameter("blockid").or_else(|| parameter("partNumber"))
    {
        let part = part.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/");
        kept.parts.insert((path.clone(), format!("{part:0>8}")), body.clone());
        return plain(if query.contains("block") { 201 } else { 200 }, Vec::new());
    }
    let joins = parameter("comp").as_deref() == Some("blocklist") || method == "POST";
    if method == "PUT" || method == "POST" {
        let parts = match joins {
            true => joined(path, &String::from_utf8_lossy(body), kept),
            false => body.clone(),
        };
        kept.objects.retain(|(own, _)| own != path);
        kept.objects.push((path.clone(), parts));
        kept.wrote.push(path.clone());
        let done =
            "<CompleteMultipartUploadResult><ETag>\"1\"</ETag></CompleteMultipartUploadResult>";
        return match method.as_str() {
            "POST" => plain(200, done.into()),
            _ => plain(if path.starts_with("/container") { 201 } else { 200 }, Vec::new()),
        };
    }
    let Some((_, bytes)) = kept.objects.iter().find(|(own, _)| own == path) else {
        return plain(404, Vec::new());
    };
    match range {
        Some((from, to)) => {
            let to = (*to).min(bytes.len() - 1);
            let told = format!("Content-Range: bytes {from}-{to}/{}\r\n", bytes.len());
            let part = bytes[*from..=to].to_vec();
            (206, (part.len(), told), part)
        }
        None => (200, (bytes.len(), "x-ms-blob-type: BlockBlob\r\n".to_owned()), bytes.clone()),
    }
}

/// The parts of an object one after the other: S3's by number, Azure's as a list of their names says.
fn joined(path: &str, list: &str, kept: &Kept) -> Vec<u8> {
    let named: Vec<String> = list.split(['<', '>']).map(|word| format!("{word:0>8}")).collect();
    let mut parts: Vec<_> = kept.parts.iter().filter(|((own, _), _)| own == path).collect();
    parts.sort_by_key(|((_, id), _)| named.iter().position(|name| name == id));
    parts.into_iter().flat_map(|(_, bytes)| bytes.clone()).collect()
}

/// GitHub's service; nothing where there is an entry already.
fn github(method: &str, asked: &Value, address: SocketAddr, kept: &mut Kept) -> Option<Value> {
    let key = asked["key"].as_str().unwrap().to_owned();
    let path = |key: &str| format!("/github/{}", key.replace(['#', ':'], "_"));
    match method {
        "CreateCacheEntry" => {
            if kept.begun.contains(&key) {
                return None;
            }
            let url = format!("http://{address}{}?sig=secret", path(&key));
            kept.begun.push(key);
            Some(json!({ "ok": true, "signed_upload_url": url }))
        }
        "GetCacheEntryDownloadURL" => {
            Some(match kept.begun.iter().rfind(|own| own.starts_with(&key)) {
                Some(found) => {
                    let url = format!("http://{address}{}?sig=secret", path(found));
                    json!({ "ok": true, "signed_download_url": url, "matched_key": found })
                }
                None => json!({ "ok": false }),
            })
        }
        _ => {
            let all = kept.objects.iter().find(|(own, _)| *own == path(&key));
            assert_eq!(asked["size_bytes"], all.unwrap().1.len());
            Some(json!({ "ok": true, "entry_id": "1" }))
        }
    }
}

#[track_caller]
fn builds(it: &Builds, options: &str) -> String {
    let run = it.build(FILE, &format!("--build-arg SOURCE_DATE_EPOCH=1600000000 {options}"));
    run.works();
    run.err
}

/// Steps of one machine are found by another, and what is there is not sent again.
#[track_caller]
fn carries(depot: &Depot, place: &str, more: &str) {
    let Some(one) = Builds::new() else { return };
    let other = Builds::new().unwrap();
    for it in [&one, &other] {
        it.put("f", "content");
    }
    let progress = builds(&other, &format!("--cache-from {place}"));
    assert!(done(&progress).len() > 2, "{progress}");
    other.ok("rmi -f t");
    other.ok("builder prune -af");
    builds(&one, &format!("--cache-to {place},mode=max{more}"));
    assert!(depot.wrote().len() > 3, "{:?}", depot.paths());
    let progress = builds(&other, &format!("--cache-from {place}"));
    assert_eq!(one.id(), other.id(), "random bytes cannot be made twice: {progress}");
    assert_eq!(other.shows("cat /tool /own | wc -c"), "34000099");
    other.ok("system check");
    builds(&one, &format!("--cache-to {place},mode=max{more}"));
    assert_eq!(depot.wrote().len(), 1, "only the document is written again");
}

#[test]
fn buckets_of_amazon() {
    let depot = Depot::new();
    let keys = "access_key_id=me,secret_access_key=hidden";
    let place = format!(
        "type=s3,bucket=b,region=r,name=main,prefix=p/,endpoint_url=http://{},{keys}",
        depot.address
    );
    carries(&depot, &place, ",upload_parallelism=2,touch_refresh=1000000h");
    let paths = depot.paths();
    assert!(paths.contains(&"/b/p/manifests/main".to_owned()), "{paths:?}");
    assert!(paths.iter().any(|path| path.starts_with("/b/p/blobs/sha256:")), "{paths:?}");
    let Some(it) = Builds::new() else { return };
    let run = it.build("FROM bb\n", "--cache-to type=s3,bucket=b");
    run.complains(1, "region ($AWS_REGION) is required");
}

#[test]
fn a_cache_that_takes_nothing_is_told_before_anything_is_built() {
    let (depot, Some(it)) = (Depot::new(), Builds::new()) else { return };
    let file = "FROM bb\nRUN echo built\n";
    let scopes = r#"{"ac":"[{\"Scope\":\"refs/heads/main\",\"Permission\":1}]"}"#;
    let token = format!("head.{}.mark", URL_SAFE_NO_PAD.encode(scopes));
    let place = format!("--cache-to type=gha,url_v2=http://{}/,token={token}", depot.address);
    let run = it.build(file, &place);
    assert!(run.code == 1 && run.err.contains("lets nobody write to its cache"), "{run}");
    assert!(!run.err.contains("RUN echo built"), "{run}");
    it.build(file, &format!("{place},ignore-error=true")).works();
    // What a rented machine would have of its own is asked for, and is not there.
    let url = format!("http://{}", depot.address);
    let place = format!("type=s3,bucket=b,region=r,endpoint_url={url}");
    let line = format!("build --no-cache --network none --cache-to {place} ctx");
    let run = it.command(&line).env("AWS_METADATA_ENDPOINT", &url).output().unwrap();
    let run = Run::of(&line, run);
    assert!(run.code == 1 && run.err.contains("no credentials were given for bucket b"), "{run}");
    assert!(!run.err.contains("RUN echo built"), "{run}");
}

#[test]
fn containers_of_azure() {
    let depot = Depot::new();
    let key = "secret_access_key=aGlkZGVu,container=container";
    let url = format!("http://{}", depot.address);
    carries(&depot, &format!("type=azblob,account_url={url},account_name=me,{key}"), "");
    let paths = depot.paths();
    assert!(paths.contains(&"/container/manifests/buildkit".to_owned()), "{paths:?}");
}

#[test]
fn workflows_at_github() {
    let depot = Depot::new();
    let scopes = r#"{"ac":"[{\"Scope\":\"refs/heads/main\",\"Permission\":3}]"}"#;
    let token = format!("head.{}.mark", URL_SAFE_NO_PAD.encode(scopes));
    carries(&depot, &format!("type=gha,url_v2=http://{}/,token={token}", depot.address), "");
    let begun = depot.kept.lock().unwrap().begun.clone();
    let index = format!("index-buildkit-1-{}#", &spec::Digest::of(b"refs/heads/main").hex()[..8]);
    let numbers: Vec<_> = begun.iter().filter_map(|key| key.strip_prefix(&index)).collect();
    assert_eq!(numbers, ["1", "2"]);
    // Outside of a workflow it is passed over, as buildx does.
    let Some(it) = Builds::new() else { return };
    let run = it.build("FROM bb\n", "--cache-to type=gha --cache-from type=gha");
    run.works();
    assert!(run.err.contains("no workflow's token"), "{run}");
}
