//! A file by its URL, as `import` and `ADD` take it.
//!
//! TLS is made when a URL asks for it, so that a host without certificates can still talk plain
//! HTTP. Proxies are those of registries: one is asked for what is not encrypted, and for a tunnel to
//! what is. A body is handed on as it arrives, and one that is
//! shorter than it said is an error of the read.

use std::io::Read;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::Body;
use ureq::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use ureq::http::{HeaderName, Request, Response, Uri};

use crate::address::{origin, resolve, with_scheme, without_user};
use crate::direct::Direct;
use crate::error::RegistryError;

/// As many redirects as browsers and docker follow.
const REDIRECTS: u32 = 10;

/// The file is as the one who asks knows it.
const NOT_MODIFIED: u16 = 304;

/// Why a URL could not be fetched.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum FetchError {
    #[error("failed to GET {url} with status {status}")]
    Status { url: String, status: u16 },
    #[error("cannot fetch {url}: {why}")]
    Failed { url: String, why: String },
}

/// A file that is arriving.
pub struct Fetched {
    /// Its bytes.
    pub reader: Box<dyn Read + Send>,
    /// How many, where the server says.
    pub bytes: Option<u64>,
    /// What the server says of when it last changed.
    pub last_modified: Option<String>,
    /// What the server calls these very bytes.
    pub etag: Option<String>,
}

/// What a server said of a file that came before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// What it called the bytes.
    pub etag: Option<String>,
    /// When it had changed them.
    pub last_modified: Option<String>,
}

impl Direct {
    /// Asks for a URL.
    pub fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        self.fetch_allowed(url, None)
    }

    /// The same, saying who asks. Nobody else is told that, wherever the server sends us.
    pub fn fetch_allowed(
        &self,
        url: &str,
        authorization: Option<&str>,
    ) -> Result<Fetched, FetchError> {
        let fetched = self.fetch_changed(url, &Before::default(), authorization)?;
        fetched.ok_or_else(|| FetchError::Status { url: without_user(url), status: NOT_MODIFIED })
    }

    /// Asks for a URL, unless it is as it was before: then nothing comes.
    pub fn fetch_changed(
        &self,
        url: &str,
        before: &Before,
        authorization: Option<&str>,
    ) -> Result<Option<Fetched>, FetchError> {
        let failed = |why: String| FetchError::Failed { url: without_user(url), why };
        let of_registry = |error: RegistryError| failed(error.to_string());
        let (mut address, user) = apart(url);
        let authorization = authorization.map(str::to_owned).or(user);
        let asked = origin(&address).map_err(of_registry)?;
        for _ in 0..=REDIRECTS {
            let known = authorization.as_deref();
            let known = known.filter(|_| origin(&address).is_ok_and(|now| now == asked));
            let response = self.ask(&address, before, known).map_err(failed)?;
            let header = |name: HeaderName| {
                response.headers().get(name).and_then(|value| value.to_str().ok())
            };
            let status = response.status().as_u16();
            let target = header(LOCATION).filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308));
            if let Some(target) = target {
                address = resolve(&address, &apart(target).0).map_err(of_registry)?;
                continue;
            }
            if status == NOT_MODIFIED && *before != Before::default() {
                return Ok(None);
            }
            if !response.status().is_success() {
                return Err(FetchError::Status { url: without_user(url), status });
            }
            let bytes = header(CONTENT_LENGTH).and_then(|text| text.parse().ok());
            let [last_modified, etag] =
                [LAST_MODIFIED, ETAG].map(|name| header(name).map(str::to_owned));
            let reader = Box::new(response.into_body().into_reader());
            return Ok(Some(Fetched { reader, bytes, last_modified, etag }));
        }
        Err(failed(format!("stopped after {REDIRECTS} redirects")))
    }

    fn ask(
        &self,
        address: &str,
        before: &Before,
        authorization: Option<&str>,
    ) -> Result<Response<Body>, String> {
        let uri: Uri = address.parse().map_err(|_| "it is no address".to_owned())?;
        let agent = self.patient_agent(&uri).map_err(|error| error.to_string())?;
        let mut request = Request::get(uri);
        if let Some(etag) = &before.etag {
            request = request.header(IF_NONE_MATCH, etag);
        } else if let Some(time) = &before.last_modified {
            request = request.header(IF_MODIFIED_SINCE, time);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(()).map_err(|error| error.to_string())?;
        agent.run(request).map_err(|error| error.to_string())
    }
}

/// An address without the name and the password in it, and what tells a server of them.
fn apart(url: &str) -> (String, Option<String>) {
    let known = with_scheme(url).and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (user, host) = rest[..end].rsplit_once('@')?;
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let mut pair = decoded(name);
        pair.push(b':');
        pair.extend(decoded(password));
        let header = format!("Basic {}", BASE64_STANDARD.encode(pair));
        Some((format!("{scheme}://{host}{}", &rest[end..]), Some(header)))
    });
    known.unwrap_or_else(|| (url.to_owned(), None))
}

/// Text in which a percent sign and two digits may stand for a byte.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| *first == b'%');
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::proxy::Proxies;

    fn direct(proxy: Option<&str>) -> Direct {
        let variables = proxy.map(|proxy| ("HTTP_PROXY".to_owned(), proxy.to_owned()));
        Direct::new(Proxies::of(&variables.into_iter().collect()), None, "mica/1".to_owned())
    }

    fn fetch(url: &str) -> Result<Fetched, FetchError> {
        direct(None).fetch(url)
    }

    fn fetch_changed(
        url: &str,
        before: &Before,
        authorization: Option<&str>,
    ) -> Result<Option<Fetched>, FetchError> {
        direct(None).fetch_changed(url, before, authorization)
    }

    /// A server that answers requests one after the other, and tells what it was asked.
    fn listen(answers: Vec<String>) -> (String, std::sync::mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> =
                    lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
                sender.send(head.join("\n")).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        (address, heard)
    }

    const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

    #[test]
    fn a_proxy_is_asked_for_what_is_not_encrypted() {
        let (proxy, heard) = listen(vec![HELLO.to_owned()]);
        let proxy = format!("http://me:pa%3Ass@{proxy}");
        let mut fetched = direct(Some(&proxy)).fetch("http://files.test/a?b#c").unwrap();
        let mut text = String::new();
        fetched.reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        let head = heard.recv().unwrap().to_lowercase();
        assert!(head.starts_with("get http://files.test/a?b http/1.1\n"), "{head}");
        assert!(head.contains("proxy-authorization: basic bwu6cge6c3m="), "{head}");
        assert!(head.contains("host: files.test"), "{head}");
    }

    #[test]
    fn a_redirect_is_followed_and_takes_nobodys_name_along() {
        let (other, there) = listen(vec![HELLO.to_owned()]);
        let found = |to: String| {
            format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        };
        let (first, here) =
            listen(vec![found("/b".to_owned()), found(format!("http://{other}/c"))]);
        let mut fetched = fetch(&format!("http://me:se%40cret@{first}/a")).unwrap();
        fetched.reader.read_to_string(&mut String::new()).unwrap();
        for path in ["/a", "/b"] {
            let head = here.recv().unwrap();
            assert!(head.starts_with(&format!("GET {path} HTTP/1.1")), "{head}");
            assert!(
                head.to_lowercase().contains("authorization: basic bwu6c2vay3jlda=="),
                "{head}"
            );
        }
        let head = there.recv().unwrap().to_lowercase();
        assert!(head.starts_with("get /c ") && !head.contains("authorization"), "{head}");
        let round = || found("/a".to_owned());
        let (first, _here) = listen((0..11).map(|_| round()).collect());
        let error = fetch(&format!("http://{first}/a")).map(|_| ()).unwrap_err().to_string();
        assert!(error.ends_with("stopped after 10 redirects"), "{error}");
    }

    /// A server that answers one request with these bytes.
    fn serve(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            stream.write_all(answer.as_bytes()).unwrap();
        });
        format!("http://{address}/file.tar")
    }

    #[test]
    fn gets_a_file() {
        let url = serve("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLast-Modified: now\r\n\r\nhello");
        let mut fetched = fetch(&url).unwrap();
        let mut text = String::new();
        fetched.reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), fetched.bytes), ("hello", Some(5)));
        assert_eq!(fetched.last_modified.as_deref(), Some("now"));
    }

    #[test]
    fn what_has_not_changed_does_not_come() {
        let before = Before { etag: Some("\"1\"".to_owned()), last_modified: None };
        let url = serve("HTTP/1.1 304 Not Modified\r\n\r\n");
        assert!(fetch_changed(&url, &before, None).unwrap().is_none());
        let url = serve("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"2\"\r\n\r\nhi");
        let fetched = fetch_changed(&url, &before, None).unwrap().unwrap();
        assert_eq!(fetched.etag.as_deref(), Some("\"2\""));
        // Who was not asked for it may not say so.
        let url = serve("HTTP/1.1 304 Not Modified\r\n\r\n");
        assert!(fetch(&url).is_err());
    }

    #[test]
    fn a_refusal_is_an_error() {
        let url = serve("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let error = fetch(&url).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), format!("failed to GET {url} with status 404"));
    }

    #[test]
    fn a_short_body_is_an_error() {
        let url = serve("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
        let mut fetched = fetch(&url).unwrap();
        assert!(fetched.reader.read_to_end(&mut Vec::new()).is_err());
    }

    #[test]
    fn no_server_is_an_error_that_names_no_password() {
        let error = fetch("http://user:secret@127.0.0.1:1/x").map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("cannot fetch http://***@127.0.0.1:1/x: "), "{error}");
        assert!(!error.contains("secret"));
    }
}
