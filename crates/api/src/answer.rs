//! What is said to a request: from a reply to HTTP, or to the connection itself.

use std::io::{self, PipeWriter};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::{mpsc, oneshot};

use crate::app::App;
use crate::call::BodyReader;
use crate::refusal::Refusal;
use crate::reply::{Content, HijackWork, Reply, Sink};
use crate::routes::Asked;
use crate::version::NEWEST;
use crate::wire::Conversation;

/// As many parts of a stream wait to be sent.
const PARTS: usize = 4;

/// A connection that somebody takes over: what is said on it first, and what is done with it.
pub(crate) struct Takeover {
    pub(crate) head: Vec<u8>,
    pub(crate) by: Taker,
}

/// Who takes a connection over.
pub(crate) enum Taker {
    /// Somebody who blocks, and has the socket itself.
    Worker(HijackWork),
    /// A conversation in HTTP/2.
    Talker(Conversation),
}

/// What whoever answers says before it says more.
pub(crate) enum Answer {
    Response(Response<Outgoing>),
    Takeover(Takeover),
}

/// Answers, on a thread that may block.
pub(crate) fn work(
    app: Arc<App>,
    head: hyper::http::request::Parts,
    asked: Asked,
    body: BodyReader,
    said: oneshot::Sender<Answer>,
) {
    let broken = body.broken();
    let blamed = move |refusal: Refusal| match broken.load(Ordering::Relaxed) {
        true if refusal.status == 500 => Refusal { status: 400, ..refusal },
        _ => refusal,
    };
    let reply = asked.answer(app, head, body);
    let reply = reply.unwrap_or_else(|refusal| Reply::from(blamed(refusal)));
    match reply.content {
        Content::Hijack(work) => {
            let head = raw_head(reply.status, &reply.headers);
            let by = Taker::Worker(work);
            let _ = said.send(Answer::Takeover(Takeover { head, by }));
        }
        Content::Talk(conversation) => {
            let head = raw_head(reply.status, &reply.headers);
            let by = Taker::Talker(conversation);
            let _ = said.send(Answer::Takeover(Takeover { head, by }));
        }
        Content::Stream(write) => {
            let Ok((gone, alive)) = io::pipe() else {
                let _ = said.send(Answer::Response(whole(Reply::status(500))));
                return;
            };
            let (parts, sent) = mpsc::channel(PARTS);
            let (failed, failure) = oneshot::channel();
            let body = Outgoing::Parts { sent, failure: Some(failure), _alive: alive };
            let head = Reply { content: Content::Empty, ..reply };
            let begin = move |refusal: Option<Refusal>| {
                let response = match refusal {
                    None => response(head, body),
                    Some(refusal) => whole(blamed(refusal).into()),
                };
                // A client that has gone is seen at the next part.
                let _ = said.send(Answer::Response(response));
            };
            let mut sink = Sink::new(Box::new(begin), parts, gone);
            let written = write(&mut sink).and_then(|()| Ok(io::Write::flush(&mut sink)?));
            let cut = written.is_err_and(|refusal| sink.refuse(refusal));
            // Told before the stream ends, which is when the sink is dropped.
            let _ = failed.send(cut);
        }
        Content::Empty | Content::Bytes(_) => {
            let _ = said.send(Answer::Response(whole(reply)));
        }
    }
}

pub(crate) fn whole(reply: Reply) -> Response<Outgoing> {
    let bytes = match reply.content {
        Content::Bytes(bytes) => Bytes::from(bytes),
        _ => Bytes::new(),
    };
    response(Reply { content: Content::Empty, ..reply }, Outgoing::Whole(Some(bytes)))
}

fn response(reply: Reply, body: Outgoing) -> Response<Outgoing> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in own_headers().into_iter().chain(reply.headers) {
        // A value that came from a client and is no header's is left away.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// What every answer says of who gives it.
fn own_headers() -> Vec<(&'static str, String)> {
    vec![
        ("api-version", NEWEST.to_string()),
        ("docker-experimental", "false".to_owned()),
        ("ostype", "linux".to_owned()),
        ("server", format!("mica/{} (linux)", engine::VERSION)),
    ]
}

/// The head of an answer after which no HTTP follows.
fn raw_head(status: u16, headers: &[(&'static str, String)]) -> Vec<u8> {
    let words = if status == 101 { "UPGRADED" } else { "OK" };
    let mut head = format!("HTTP/1.1 {status} {words}\r\n");
    for (name, value) in own_headers().iter().chain(headers) {
        head.push_str(&format!("{}: {value}\r\n", titled(name)));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// `content-type` as `Content-Type`: some that read such a head by hand look for that.
fn titled(name: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_uppercase() + rest
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// What an answer carries.
pub(crate) enum Outgoing {
    Whole(Option<Bytes>),
    Parts {
        sent: mpsc::Receiver<Bytes>,
        /// Whether the stream ends before its end.
        failure: Option<oneshot::Receiver<bool>>,
        /// Whoever writes has the other end, and sees when this goes.
        _alive: PipeWriter,
    },
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Outgoing::Whole(bytes) => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Outgoing::Parts { sent, failure, .. } => match sent.poll_recv(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(part)) => Poll::Ready(Some(Ok(Frame::data(part)))),
                Poll::Ready(None) => {
                    let told = failure.take().map(|mut failure| failure.try_recv());
                    // One that ended without a word has not ended well either.
                    match told {
                        None | Some(Ok(false)) => Poll::Ready(None),
                        _ => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                    }
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Outgoing::Whole(bytes) if bytes.as_ref().is_none_or(|b| b.is_empty()))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Outgoing::Parts { .. } => SizeHint::default(),
        }
    }
}
