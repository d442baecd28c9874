//! The two directions of one call, for somebody who blocks.

use std::marker::PhantomData;
use std::pin::pin;

use h2::{RecvStream, SendStream};
use hyper::HeaderMap;
use hyper::body::Bytes;
use prost::Message;
use prost::bytes::{Buf, BufMut, BytesMut};
use tokio::sync::{mpsc, oneshot, watch};

use super::status::{Code, Status};

/// As many messages wait to be read or sent.
const MESSAGES: usize = 4;
/// No message is longer. BuildKit's own limit.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// What stands before a message: whether it is compressed, and how long it is.
const PREFIX_BYTES: usize = 5;
/// So much of a message is sent at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A call under way.
pub(crate) struct Exchange {
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
}

/// What the other side says.
pub(crate) struct Incoming {
    messages: mpsc::Receiver<Result<Bytes, Status>>,
}

/// What this side says. Dropping it says that there is no more.
#[derive(Clone)]
pub(crate) struct Outgoing {
    messages: mpsc::Sender<Bytes>,
    gone: watch::Receiver<bool>,
}

/// The ends of an exchange that connections have.
pub(super) struct Ends {
    pub(super) arriving: mpsc::Sender<Result<Bytes, Status>>,
    pub(super) leaving: mpsc::Receiver<Bytes>,
    pub(super) gone: watch::Sender<bool>,
}

impl Exchange {
    pub(super) fn new() -> (Exchange, Ends) {
        let (arriving, arrived) = mpsc::channel(MESSAGES);
        let (left, leaving) = mpsc::channel(MESSAGES);
        let (leave, gone) = watch::channel(false);
        let incoming = Incoming { messages: arrived };
        let exchange = Exchange { incoming, outgoing: Outgoing { messages: left, gone } };
        (exchange, Ends { arriving, leaving, gone: leave })
    }

    /// Two that speak to each other without a connection.
    #[cfg(test)]
    pub(crate) fn pair() -> (Exchange, Exchange) {
        let (one_left, one_leaving) = mpsc::channel(MESSAGES);
        let (other_left, other_leaving) = mpsc::channel(MESSAGES);
        let end = |left: mpsc::Sender<Bytes>, mut leaving: mpsc::Receiver<Bytes>| {
            let (arriving, messages) = mpsc::channel(MESSAGES);
            std::thread::spawn(move || {
                while let Some(mut message) = leaving.blocking_recv() {
                    message.advance(PREFIX_BYTES);
                    if arriving.blocking_send(Ok(message)).is_err() {
                        return;
                    }
                }
            });
            let gone = watch::channel(false).1;
            Exchange {
                incoming: Incoming { messages },
                outgoing: Outgoing { messages: left, gone },
            }
        };
        (end(one_left, other_leaving), end(other_left, one_leaving))
    }

    /// Answers one message with one.
    pub(crate) fn answer<Q: Message + Default, A: Message>(
        mut self,
        work: impl FnOnce(Q) -> Result<A, Status>,
    ) -> Result<(), Status> {
        let request = self.incoming.one()?;
        self.outgoing.send(&work(request)?)
    }
}

impl Incoming {
    /// The next message; nothing after the last.
    pub(crate) fn receive<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        match self.messages.blocking_recv() {
            None => Ok(None),
            Some(message) => Ok(Some(M::decode(message?)?)),
        }
    }

    /// The message that there must be.
    pub(crate) fn one<M: Message + Default>(&mut self) -> Result<M, Status> {
        self.receive()?.ok_or_else(|| Status::internal("a call without a message"))
    }

    /// All messages that follow.
    pub(crate) fn all<M: Message + Default>(&mut self) -> Messages<'_, M> {
        Messages { incoming: self, kind: PhantomData }
    }
}

/// Messages as they come.
pub(crate) struct Messages<'a, M> {
    incoming: &'a mut Incoming,
    kind: PhantomData<M>,
}

impl<M: Message + Default> Iterator for Messages<'_, M> {
    type Item = Result<M, Status>;

    fn next(&mut self) -> Option<Result<M, Status>> {
        self.incoming.receive().transpose()
    }
}

impl Outgoing {
    /// Says something; waits while the other side does not read.
    pub(crate) fn send(&self, message: &impl Message) -> Result<(), Status> {
        let length = message.encoded_len();
        if length > MAX_MESSAGE_BYTES {
            return Err(Status::new(Code::ResourceExhausted, "a message of more than 16 MiB"));
        }
        let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + length);
        bytes.put_u8(0);
        bytes.put_u32(length as u32);
        message.encode(&mut bytes).expect("there is room for as much as it said");
        self.messages.blocking_send(bytes.freeze()).map_err(|_| Status::gone())
    }

    /// Whether nobody wants to hear more.
    pub(crate) fn is_gone(&self) -> bool {
        // Without whoever would say so the stream is over, too.
        *self.gone.borrow() || self.gone.has_changed().is_err()
    }
}

/// Hands on what arrives, until its end. The trailers of an answer are its end.
pub(super) async fn take_in(
    mut stream: RecvStream,
    arriving: mpsc::Sender<Result<Bytes, Status>>,
    is_answer: bool,
) {
    let taken = tokio::select! {
        taken = split(&mut stream, &arriving) => taken,
        () = arriving.closed() => return,
    };
    let ended = match taken {
        Ok(()) if is_answer => match stream.trailers().await {
            Ok(Some(trailers)) => Status::read(&trailers).unwrap_or_else(|| {
                Err(Status::internal("an answer that does not say how it ended"))
            }),
            Ok(None) => Err(Status::internal("an answer without an end")),
            Err(error) => Err(broken(&error)),
        },
        other => other,
    };
    if let Err(status) = ended {
        let _ = arriving.send(Err(status)).await;
    }
}

fn broken(error: &h2::Error) -> Status {
    match error.reason() {
        Some(h2::Reason::CANCEL) => Status::gone(),
        _ => Status::new(Code::Unavailable, error.to_string()),
    }
}

async fn split(
    stream: &mut RecvStream,
    arriving: &mpsc::Sender<Result<Bytes, Status>>,
) -> Result<(), Status> {
    let mut gathered = BytesMut::new();
    while let Some(part) = stream.data().await {
        let part = part.map_err(|error| broken(&error))?;
        gathered.extend_from_slice(&part);
        // What is here need not be waited for: a message may be longer than what may be under way.
        let _ = stream.flow_control().release_capacity(part.len());
        while let Some(message) = next_message(&mut gathered)? {
            if arriving.send(Ok(message)).await.is_err() {
                return Ok(());
            }
        }
    }
    match gathered.is_empty() {
        true => Ok(()),
        false => Err(Status::internal("a message that is cut off")),
    }
}

fn next_message(gathered: &mut BytesMut) -> Result<Option<Bytes>, Status> {
    let Some(prefix) = gathered.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let [compressed, length @ ..] = prefix;
    let (compressed, length) = (*compressed, u32::from_be_bytes(*length) as usize);
    if compressed != 0 {
        return Err(Status::unsupported("compressed messages are not read"));
    }
    if length > MAX_MESSAGE_BYTES {
        return Err(Status::new(Code::ResourceExhausted, "a message of more than 16 MiB"));
    }
    if gathered.len() < PREFIX_BYTES + length {
        return Ok(None);
    }
    gathered.advance(PREFIX_BYTES);
    Ok(Some(gathered.split_to(length).freeze()))
}

/// Sends what leaves, until its end: that of an answer are the trailers that come of its outcome.
pub(super) async fn send_out(
    mut stream: SendStream<Bytes>,
    mut leaving: mpsc::Receiver<Bytes>,
    gone: watch::Sender<bool>,
    outcome: Option<oneshot::Receiver<Result<(), Status>>>,
) {
    let sent = loop {
        tokio::select! {
            message = leaving.recv() => match message {
                None => break Ok(()),
                Some(message) => if let Err(error) = send_all(&mut stream, message).await {
                    break Err(error);
                },
            },
            _ = reset(&mut stream) => break Err(h2::Error::from(h2::Reason::CANCEL)),
        }
    };
    if sent.is_err() {
        // Whoever writes is told by its next word, or sees it here.
        let _ = gone.send(true);
        return;
    }
    // The stream may have gone already, which is known by now.
    let _ = match outcome {
        None => stream.send_data(Bytes::new(), true),
        Some(outcome) => {
            let mut outcome = pin!(outcome);
            let outcome = tokio::select! {
                outcome = &mut outcome => outcome,
                _ = reset(&mut stream) => { let _ = gone.send(true); return }
            };
            let died = || Err(Status::internal("whoever was to answer has died"));
            stream.send_trailers(Status::trailers(&outcome.unwrap_or_else(|_| died())))
        }
    };
}

async fn reset(stream: &mut SendStream<Bytes>) {
    // An error says that the connection is no more.
    let _ = std::future::poll_fn(|context| stream.poll_reset(context)).await;
}

async fn send_all(stream: &mut SendStream<Bytes>, mut message: Bytes) -> Result<(), h2::Error> {
    while !message.is_empty() {
        stream.reserve_capacity(message.len().min(CHUNK_BYTES));
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let room = room.unwrap_or(Err(h2::Reason::CANCEL.into()))?;
        let part = message.split_to(room.min(message.len()));
        stream.send_data(part, false)?;
    }
    Ok(())
}

/// The head of a call or an answer.
pub(super) fn head(headers: &mut HeaderMap) {
    use hyper::header::{CONTENT_TYPE, HeaderValue};
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
}
