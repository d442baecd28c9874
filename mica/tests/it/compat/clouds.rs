//! Object stores as Microsoft and Google describe them, as far as a registry needs them: they check
//! who asks as their makers' documents say it is done, and write under conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use spec::{Digest, Hasher, Timestamp};

/// Lists come in pages of so many entries.
const PAGE: usize = 7;
/// What the account at Microsoft's is called.
pub(super) const ACCOUNT: &str = "me";
/// Who the account at Google's is.
pub(super) const EMAIL: &str = "me@project.iam";
pub(super) const KEY_ID: &str = "key-1";

/// How somebody shows who they are.
pub(super) enum Maker {
    /// By a key that both know.
    Microsoft { key: Vec<u8> },
    /// By a token that is signed with the other half of this key, a file in PEM.
    Google { public: PathBuf },
}

/// A store that serves for as long as the process of the test.
pub(super) struct Cloud {
    maker: Maker,
    objects: Mutex<Objects>,
    /// Tokens that were found to be good.
    known: Mutex<BTreeSet<String>>,
    /// What was refused, and why.
    pub(super) refused: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Objects {
    all: BTreeMap<String, Object>,
    writings: u64,
}

#[derive(Clone)]
struct Object {
    bytes: Vec<u8>,
    writing: u64,
    seconds: u64,
}

struct Asked {
    method: String,
    /// As it was sent.
    path: String,
    query: Vec<(String, String)>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A time as HTTP writes it.
fn http_time(seconds: u64) -> String {
    let text = Timestamp::from_unix(seconds as i64, 0).to_string();
    let (date, time) = text.split_once('T').unwrap();
    let parts: Vec<&str> = date.split('-').collect();
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (day, month) = (days[(seconds / 86_400 % 7) as usize], parts[1].parse::<usize>().unwrap());
    format!("{day}, {} {} {} {} GMT", parts[2], months[month - 1], parts[0], &time[..8])
}

fn decoded(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
                at += 3;
            }
            b'+' => {
                out.push(b' ');
                at += 1;
            }
            other => {
                out.push(other);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap()
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Hasher::sha256();
    parts.iter().for_each(|part| hasher.update(part));
    match hasher.finish() {
        Digest::Sha256(bytes) => bytes,
        Digest::Sha512(_) => unreachable!("it was begun as SHA-256"),
    }
}

/// RFC 2104, with a key that is not longer than a block.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let pad = |with: u8| -> Vec<u8> {
        (0..64).map(|at| key.get(at).copied().unwrap_or_default() ^ with).collect()
    };
    sha256(&[&pad(0x5c), &sha256(&[&pad(0x36), text])])
}

impl Cloud {
    /// Serves a bucket, `images`; gives the port.
    pub(super) fn serve(maker: Maker) -> (Arc<Cloud>, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cloud = Arc::new(Cloud {
            maker,
            objects: Mutex::default(),
            known: Mutex::default(),
            refused: Mutex::default(),
        });
        let serving = cloud.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let cloud = serving.clone();
                std::thread::spawn(move || cloud.converse(&stream));
            }
        });
        (cloud, port)
    }

    fn converse(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(asked) = Asked::read(&mut reader) {
            let (status, headers, body) = match self.refusal(&asked) {
                Some(why) => {
                    self.refused.lock().unwrap().push(format!("{}: {why}", asked.path));
                    (403, Vec::new(), Vec::new())
                }
                None if asked.method == "POST" => self.batch(&asked),
                None => self.answer(&asked),
            };
            let mut head = format!("HTTP/1.1 {status} X\r\nDate: {}\r\n", http_time(now()));
            for (name, value) in &headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
            let body: &[u8] = if asked.method == "HEAD" { b"" } else { &body };
            if (&*stream).write_all(&[head.as_bytes(), body].concat()).is_err() {
                return;
            }
        }
    }

    /// Several deletions in one request, each with a signature of its own.
    fn batch(&self, asked: &Asked) -> Answer {
        let boundary = asked.header("content-type").split_once("boundary=").unwrap().1;
        let body = String::from_utf8(asked.body.clone()).unwrap();
        let mut answer = String::new();
        for (number, part) in body.split(&format!("--{boundary}\r\n")).skip(1).enumerate() {
            let (_, request) = part.split_once("\r\n\r\n").unwrap();
            let one = Asked::read(&mut request.as_bytes()).unwrap();
            let status = match self.refusal(&one) {
                Some(why) => {
                    self.refused.lock().unwrap().push(format!("{}: {why}", one.path));
                    403
                }
                None => self.answer(&one).0,
            };
            answer.push_str(&format!(
                "--batchresponse\r\nContent-Type: application/http\r\nContent-ID: {number}\r\n\r\n\
                 HTTP/1.1 {status} X\r\nx-ms-version: 2023-11-03\r\n\r\n\r\n"
            ));
        }
        answer.push_str("--batchresponse--\r\n");
        let kind = "multipart/mixed; boundary=batchresponse".to_owned();
        (202, vec![("Content-Type", kind)], answer.into_bytes())
    }

    /// Why somebody is not let in.
    fn refusal(&self, asked: &Asked) -> Option<String> {
        let authorization = asked.header("authorization");
        match &self.maker {
            Maker::Microsoft { key } => {
                let text = asked.signed_by_microsoft();
                let signature = STANDARD.encode(hmac(key, text.as_bytes()));
                let wanted = format!("SharedKey {ACCOUNT}:{signature}");
                (authorization != wanted).then(|| format!("{authorization} of {text:?}"))
            }
            Maker::Google { public } => {
                let Some(token) = authorization.strip_prefix("Bearer ") else {
                    return Some(format!("{authorization:?} is no token"));
                };
                let mut known = self.known.lock().unwrap();
                if known.contains(token) {
                    return None;
                }
                let why = bad_token(token, public);
                if why.is_none() {
                    known.insert(token.to_owned());
                }
                why
            }
        }
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let path = decoded(&asked.path);
        let Some(rest) = path.strip_prefix("/images") else { return (404, vec![], vec![]) };
        let mut objects = self.objects.lock().unwrap();
        let Some(key) = rest.strip_prefix('/').filter(|key| !key.is_empty()) else {
            return (200, vec![], self.list(&objects.all, asked).into_bytes());
        };
        match asked.method.as_str() {
            "GET" | "HEAD" => match objects.all.get(key) {
                None => (404, vec![], vec![]),
                Some(object) => object.answer(asked.headers.get("range")),
            },
            "DELETE" => match (objects.all.remove(key), &self.maker) {
                (None, _) => (404, vec![], vec![]),
                (Some(_), Maker::Microsoft { .. }) => (202, vec![], vec![]),
                (Some(_), Maker::Google { .. }) => (204, vec![], vec![]),
            },
            "PUT" => {
                if let Some(status) = self.prevents(asked, objects.all.get(key)) {
                    return (status, vec![], vec![]);
                }
                objects.writings += 1;
                let writing = objects.writings;
                let object = Object { bytes: asked.body.clone(), writing, seconds: now() };
                let headers = object.headers();
                objects.all.insert(key.to_owned(), object);
                let status = if matches!(self.maker, Maker::Google { .. }) { 200 } else { 201 };
                (status, headers, vec![])
            }
            _ => (405, vec![], vec![]),
        }
    }

    /// The status of a writing that a condition prevents, or that is not as it has to be.
    fn prevents(&self, asked: &Asked, there: Option<&Object>) -> Option<u16> {
        match &self.maker {
            Maker::Microsoft { .. } => {
                let is_blob = asked.header("x-ms-blob-type") == "BlockBlob";
                if !is_blob || asked.header("x-ms-version") < "2015-02-21" {
                    return Some(400);
                }
                if asked.header("if-none-match") == "*" && there.is_some() {
                    return Some(409);
                }
                let wanted = asked.headers.get("if-match")?;
                (there.map(Object::tag).as_ref() != Some(wanted)).then_some(412)
            }
            Maker::Google { .. } => {
                let wanted = asked.headers.get("x-goog-if-generation-match")?;
                let there = there.map_or(0, |object| object.writing).to_string();
                (there != *wanted).then_some(412)
            }
        }
    }

    fn list(&self, all: &BTreeMap<String, Object>, asked: &Asked) -> String {
        let (prefix, delimiter) = (asked.query("prefix"), asked.query("delimiter"));
        let (mut entries, mut last) = (Vec::new(), String::new());
        for (key, object) in all.iter().filter(|(key, _)| key.starts_with(prefix)) {
            let end = key[prefix.len()..].find(delimiter).filter(|_| !delimiter.is_empty());
            let entry = end.map_or(key.as_str(), |end| &key[..=prefix.len() + end]);
            if entry != last {
                entries.push((entry.to_owned(), object.clone(), end.is_some()));
            }
            last = entry.to_owned();
        }
        let is_google = matches!(self.maker, Maker::Google { .. });
        let from = asked.query(if is_google { "continuation-token" } else { "marker" });
        entries.retain(|(entry, ..)| entry.as_str() > from);
        let next = entries.get(PAGE - 1).filter(|_| entries.len() > PAGE).map(|(it, ..)| it);
        let next = next.cloned().unwrap_or_default();
        let mut text = String::new();
        for (name, object, is_folder) in entries.iter().take(PAGE) {
            let (bytes, tag) = (object.bytes.len(), object.tag());
            let (time, iso) =
                (http_time(object.seconds), Timestamp::from_unix(object.seconds as i64, 0));
            text.push_str(&match (is_google, is_folder) {
                (false, true) => format!("<BlobPrefix><Name>{name}</Name></BlobPrefix>"),
                (false, false) => format!(
                    "<Blob><Name>{name}</Name><Properties><Last-Modified>{time}</Last-Modified>\
                     <Etag>{tag}</Etag><Content-Length>{bytes}</Content-Length>\
                     <Content-Type>application/octet-stream</Content-Type></Properties></Blob>"
                ),
                (true, true) => {
                    format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>")
                }
                (true, false) => format!(
                    "<Contents><Key>{name}</Key><Size>{bytes}</Size>\
                     <LastModified>{iso}</LastModified><ETag>{tag}</ETag></Contents>"
                ),
            });
        }
        match (is_google, next.is_empty()) {
            (false, _) => format!(
                "<?xml version=\"1.0\"?><EnumerationResults><Blobs>{text}</Blobs>\
                 <NextMarker>{next}</NextMarker></EnumerationResults>"
            ),
            (true, true) => format!("<ListBucketResult>{text}</ListBucketResult>"),
            (true, false) => format!(
                "<ListBucketResult>{text}<NextContinuationToken>{next}</NextContinuationToken>\
                 </ListBucketResult>"
            ),
        }
    }
}

impl Object {
    fn tag(&self) -> String {
        format!("\"{:#x}\"", self.writing)
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ETag", self.tag()),
            ("x-goog-generation", self.writing.to_string()),
            ("Last-Modified", http_time(self.seconds)),
        ]
    }

    fn answer(&self, range: Option<&String>) -> Answer {
        let (mut headers, all) = (self.headers(), self.bytes.len());
        let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")) else {
            return (200, headers, self.bytes.clone());
        };
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let last = last.min(all - 1);
        headers.push(("Content-Range", format!("bytes {first}-{last}/{all}")));
        (206, headers, self.bytes[first..=last].to_vec())
    }
}

impl Asked {
    fn read(reader: &mut impl BufRead) -> Option<Asked> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        let (path, query) = (path.to_owned(), pairs.map(pair).collect());
        Some(Asked { method, path, query, headers, body })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// What a request's signature is over, by "Authorize with Shared Key" in Azure's documents.
    fn signed_by_microsoft(&self) -> String {
        let length = self.header("content-length");
        let date = if self.headers.contains_key("x-ms-date") { "" } else { self.header("date") };
        let lines = [
            self.method.as_str(),
            self.header("content-encoding"),
            self.header("content-language"),
            if length == "0" { "" } else { length },
            self.header("content-md5"),
            self.header("content-type"),
            date,
            self.header("if-modified-since"),
            self.header("if-match"),
            self.header("if-none-match"),
            self.header("if-unmodified-since"),
            self.header("range"),
        ];
        let own = self.headers.iter().filter(|(name, _)| name.starts_with("x-ms-"));
        let own: String = own.map(|(name, value)| format!("{name}:{value}\n")).collect();
        let mut query: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, value) in &self.query {
            query.entry(name.to_lowercase()).or_default().push(value);
        }
        let query: String = query
            .into_iter()
            .map(|(name, mut values)| {
                values.sort_unstable();
                format!("\n{name}:{}", values.join(","))
            })
            .collect();
        format!("{}\n{own}/{ACCOUNT}{}{query}", lines.join("\n"), self.path)
    }
}

/// What is wrong with a token that somebody signed for themselves, by RFC 7519 and what Google says
/// of such tokens.
fn bad_token(token: &str, public: &PathBuf) -> Option<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, claims, signature] = parts[..] else { return Some("it has no parts".into()) };
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let (about, said) = (read(head), read(claims));
    if about["alg"] != "RS256" || about["kid"] != KEY_ID {
        return Some(format!("its head is {about}"));
    }
    let number = |name: &str| said[name].as_u64().unwrap_or_default();
    let is_now = number("iat") <= now() + 60 && number("exp") > now();
    let is_short = number("exp") - number("iat") <= 3600;
    let scope = said["scope"].as_str().unwrap_or_default();
    let is_scoped = scope.starts_with("https://www.googleapis.com/auth/");
    if said["iss"] != EMAIL || said["sub"] != EMAIL || !is_now || !is_short || !is_scoped {
        return Some(format!("it says {said}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let (text, mark) = (folder.path().join("text"), folder.path().join("mark"));
    std::fs::write(&text, format!("{head}.{claims}")).unwrap();
    std::fs::write(&mark, URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-verify"]).arg(public).arg("-signature").args([&mark, &text]);
    let is_signed = openssl.output().unwrap().status.success();
    (!is_signed).then(|| "somebody else signed it".to_owned())
}

#[test]
fn signatures_are_those_of_the_documents() {
    // RFC 4231, test case 2.
    let hash = hmac(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(hash[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    assert_eq!(http_time(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    // The example of Azure's documents, in a form of today.
    let pairs = [("comp", "metadata"), ("restype", "container"), ("timeout", "20")];
    let asked = Asked {
        method: "GET".to_owned(),
        path: "/mycontainer".to_owned(),
        query: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        headers: [
            ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"),
            ("x-ms-version", "2015-02-21"),
            ("content-length", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        body: Vec::new(),
    };
    assert_eq!(
        asked.signed_by_microsoft(),
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\n\
         x-ms-version:2015-02-21\n/me/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
    );
}
