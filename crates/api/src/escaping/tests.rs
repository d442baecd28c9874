use super::*;

/// What becomes of bytes that come so many at a time.
fn read(bytes: &[u8], step: usize) -> String {
    let mut watcher = Watcher::default();
    let mut out = Vec::new();
    for part in bytes.chunks(step) {
        match watcher.first(part) {
            None => out.extend_from_slice(part),
            Some((at, instead)) => {
                out.extend_from_slice(&part[..at]);
                out.extend(watcher.rewritten(instead, &part[at + 1..]));
            }
        }
    }
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn becomes(text: &str, expected: &str) {
    for step in [1, 2, 7, text.len()] {
        assert_eq!(read(text.as_bytes(), step), expected, "{step} at a time");
    }
}

#[test]
fn request_lines_alone_get_escapes() {
    let raw = "GET /c?f={\"a\":[\"b|c\"]} HTTP/1.1\r\nX: {\"}\r\n\r\n";
    let clean = "GET /c?f=%7B%22a%22:[%22b%7Cc%22]%7D HTTP/1.1\r\nX: {\"}\r\n\r\n";
    becomes(raw, clean);
    // Another follows, after bodies of both kinds.
    let known = "POST /a HTTP/1.1\r\ncontent-length: 16\r\n\r\nGET /{ HTTP/1.1\n";
    becomes(&format!("{known}{raw}"), &format!("{known}{clean}"));
    let parts = "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nGET /\r\n1\r\n{\r\n0\r\nT: {\r\n\r\n";
    becomes(&format!("{parts}{raw}"), &format!("{parts}{clean}"));
    // Nor is a connection taken over because a client would like it, or by a container's start.
    let wish = "POST /containers/x/start HTTP/1.1\r\nUpgrade: h2c\r\n\r\n";
    becomes(&format!("{wish}{raw}"), &format!("{wish}{clean}"));
}

#[test]
fn a_long_query_goes_on_in_a_header() {
    let begin = "POST /build?a=";
    let short = "x".repeat(LONG - begin.len());
    let head = format!("{begin}{short} HTTP/1.1\r\nHost: x\r\n\r\n");
    becomes(&head, &head);
    let name = rest_of_query();
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let long = format!("{begin}{short}&b={{y}} {version}\r\nHost: x\r\n\r\n");
        let cut = format!("{version}\r\n{name}: &b=%7By%7D\r\nHost: x\r\n\r\n");
        becomes(&format!("{long}{head}"), &format!("{begin}{short} {cut}{head}"));
    }
    // One that does not say the version is none, and stays none.
    let odd = format!("{begin}{short}yz\nA: b\n\n");
    becomes(&odd, &format!("{begin}{short}\r\n{name}: yz\r\nA: b\n\n"));
    // What is written is what must not be long.
    let braces = "{".repeat(LONG);
    let line = read(format!("{begin}{braces} HTTP/1.1\r\n\r\n").as_bytes(), 7);
    let (first, second) = line.split_once("\r\n").unwrap();
    assert!(first.len() <= LONG + " HTTP/1.1".len(), "{}", first.len());
    assert!(second.starts_with(name));
    let escapes = first.matches("%7B").count() + second.matches("%7B").count();
    assert_eq!(escapes, LONG);
    let endless = format!("{begin}{}", "x".repeat(LONGEST));
    assert!(read(endless.as_bytes(), 7) == endless, "what is too long is hyper's to refuse");
}

/// Gives its bytes one by one.
struct Slow<'a>(&'a [u8]);

impl AsyncRead for Slow<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some((first, rest)) = self.0.split_first() {
            buffer.put_slice(&[*first]);
            self.0 = rest;
        }
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_is_held_back_is_no_end() {
    let text = format!("GET /c?{}={{ HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(LONG));
    let mut stream = Escaping::new(Slow(text.as_bytes()));
    let (mut bytes, mut context) = (Vec::new(), Context::from_waker(std::task::Waker::noop()));
    loop {
        let mut room = [0; 64];
        let mut buffer = ReadBuf::new(&mut room);
        let read = Pin::new(&mut stream).poll_read(&mut context, &mut buffer);
        assert!(matches!(read, Poll::Ready(Ok(()))));
        if buffer.filled().is_empty() {
            break;
        }
        bytes.extend_from_slice(buffer.filled());
    }
    assert_eq!(String::from_utf8(bytes).unwrap(), read(text.as_bytes(), text.len()));
}

#[test]
fn what_is_no_request_stays_as_it_is() {
    becomes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{\"", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{\"");
    becomes("{\"a\":1}\nx{", "{\"a\":1}\nx{");
    // Whoever has taken a connection over may say anything, even this.
    for head in [
        "POST /v1.41/containers/x/attach?stdin=1 HTTP/1.1\r\n\r\n",
        "POST /exec/x/start HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        "GET /containers/x/attach/ws?a=/ HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let text = format!("{head}GET /\"{{ HTTP/1.1\r\n\r\n");
        becomes(&text, &text);
    }
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "p".repeat(LONG));
    becomes(&path, &path);
    let wrong = "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\nGET /{";
    becomes(wrong, wrong);
}
