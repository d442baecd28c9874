//! A file by its URL, as `import` and `ADD` take it.
//!
//! TLS is made when a URL asks for it, so that a host without certificates can still talk plain
//! HTTP. Proxies come from the environment. A body is handed on as it arrives, and one that is
//! shorter than it said is an error of the read.

use std::io::Read;
use std::time::Duration;

use ureq::Agent;

use crate::address::without_user;

/// How long a server may take to answer at all.
const CONNECT: Duration = Duration::from_secs(30);
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

/// Asks for a URL.
pub fn fetch(url: &str) -> Result<Fetched, FetchError> {
    fetch_allowed(url, None)
}

/// The same, saying who asks. Nobody else is told that, wherever the server sends us.
pub fn fetch_allowed(url: &str, authorization: Option<&str>) -> Result<Fetched, FetchError> {
    let fetched = ask(url, &Before::default(), authorization)?;
    fetched.ok_or_else(|| FetchError::Status { url: without_user(url), status: NOT_MODIFIED })
}

/// Asks for a URL, unless it is as it was before: then nothing comes.
pub fn fetch_changed(
    url: &str,
    before: &Before,
    authorization: Option<&str>,
) -> Result<Option<Fetched>, FetchError> {
    ask(url, before, authorization)
}

fn ask(
    url: &str,
    before: &Before,
    authorization: Option<&str>,
) -> Result<Option<Fetched>, FetchError> {
    let failed =
        |error: ureq::Error| FetchError::Failed { url: without_user(url), why: error.to_string() };
    let config = Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .max_redirects(REDIRECTS)
        .http_status_as_error(false)
        .build();
    let mut request = Agent::new_with_config(config).get(url);
    if let Some(etag) = &before.etag {
        request = request.header("If-None-Match", etag);
    } else if let Some(time) = &before.last_modified {
        request = request.header("If-Modified-Since", time);
    }
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    let response = request.call().map_err(failed)?;
    let status = response.status();
    if status.as_u16() == NOT_MODIFIED && *before != Before::default() {
        return Ok(None);
    }
    if !status.is_success() {
        return Err(FetchError::Status { url: without_user(url), status: status.as_u16() });
    }
    let header = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let bytes = header("content-length").and_then(|text| text.parse().ok());
    let (last_modified, etag) = (header("last-modified"), header("etag"));
    let reader = Box::new(response.into_body().into_reader());
    Ok(Some(Fetched { reader, bytes, last_modified, etag }))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

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
