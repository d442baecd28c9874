//! One connection: requests, one after the other, until somebody closes it.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;

use super::body::Body;
use super::date::Clock;
use super::head::{Bad, Head, Method};
use super::response::Payload;
use super::server::Guest;
use super::stream::{MAX_HEAD_BYTES, Stream, Wire};
use super::{Exchange, Request, Service};

/// A body that nobody wanted is read up to here, so that the connection can go on.
const PASS_OVER_BYTES: u64 = 256 << 10;

/// Answers requests until the connection ends.
pub(super) fn serve(stream: Stream, peer: SocketAddr, guest: &Guest, service: &dyn Service) {
    let mut wire = Wire::new(stream);
    let mut clock = Clock::default();
    while let Some(head) = next_head(&mut wire, guest, service, &mut clock) {
        guest.begin();
        if !exchange(&mut wire, &head, peer, guest, service, &mut clock) {
            break;
        }
        guest.end();
    }
    wire.stream.finish();
    guest.close(Shutdown::Both);
}

/// The head of the next request. One that cannot be understood is answered here.
fn next_head(
    wire: &mut Wire,
    guest: &Guest,
    service: &dyn Service,
    clock: &mut Clock,
) -> Option<Head> {
    let mut began: Option<Instant> = None;
    loop {
        let parsed = match wire.ready() {
            [] => Ok(None),
            bytes => Head::parse(bytes),
        };
        let bad = match parsed {
            Ok(Some((head, used))) => {
                wire.consume(used);
                return Some(head);
            }
            Ok(None) if wire.ready().len() > MAX_HEAD_BYTES => Bad(431),
            Ok(None) if began.is_some_and(|began| began.elapsed() > guest.limits().head) => {
                Bad(408)
            }
            Ok(None) => {
                // Silence between requests ends the connection without a word.
                if wire.fill().ok()? == 0 {
                    return None;
                }
                began.get_or_insert_with(Instant::now);
                continue;
            }
            Err(bad) => bad,
        };
        let _ = service.unreadable(bad.0).send(wire, clock.now(), true);
        linger(wire, guest);
        return None;
    }
}

/// Answers one request, and says whether another may follow.
fn exchange(
    wire: &mut Wire,
    head: &Head,
    peer: SocketAddr,
    guest: &Guest,
    service: &dyn Service,
    clock: &mut Clock,
) -> bool {
    let began = Instant::now();
    let mut request = Request { head, body: Body::new(wire, head) };
    let mut response = service.answer(&mut request);
    let received_bytes = request.body.received();
    let clean = finish_body(&mut request.body);
    if head.method == Method::Head {
        let bytes = std::mem::replace(&mut response.payload, Payload::Absent(0)).bytes();
        response.payload = Payload::Absent(bytes);
    }
    let closes = !clean || !head.keeps_open || guest.must_leave();
    let (sent_bytes, sent) = response.send(wire, clock.now(), closes);
    service.over(&Exchange {
        head,
        peer,
        status: response.status,
        received_bytes,
        sent_bytes,
        took: began.elapsed(),
        cut: sent.as_ref().err(),
        user: response.user.as_deref(),
    });
    if sent.is_ok() && !clean {
        linger(wire, guest);
    }
    sent.is_ok() && !closes
}

/// Reads what nobody read, if it is little. Says whether the next request can follow.
fn finish_body(body: &mut Body<'_>) -> bool {
    if body.is_over() {
        return true;
    }
    if body.is_awaited() {
        return false;
    }
    let passed = io::copy(&mut body.by_ref().take(PASS_OVER_BYTES), &mut io::sink());
    passed.is_ok() && body.is_over()
}

/// A socket that is closed with bytes unread resets the connection, and the client may never see
/// why. So the client is told that we are done, and heard out for a moment.
fn linger(wire: &mut Wire, guest: &Guest) {
    wire.stream.finish();
    guest.close(Shutdown::Write);
    let began = Instant::now();
    let mut buffer = vec![0; 64 << 10];
    guest.hurry();
    while began.elapsed() < guest.limits().linger {
        match wire.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
