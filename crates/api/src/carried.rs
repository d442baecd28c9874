//! What a request carries, on its way from the connection to whoever reads it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use tokio::sync::mpsc;

use crate::call::BodyReader;

/// As many parts wait to be read.
const PARTS: usize = 4;
/// So much that nobody wants is read, and for so long.
const DRAINED_BYTES: usize = 256 << 10;
const DRAINING: Duration = Duration::from_secs(1);

/// What a request carries, part by part, no faster than somebody reads it.
pub(crate) fn carried(mut incoming: Incoming) -> BodyReader {
    if incoming.is_end_stream() {
        return BodyReader::new(None);
    }
    let (parts, read) = mpsc::channel(PARTS);
    tokio::spawn(async move {
        loop {
            let part = tokio::select! {
                part = next_part(&mut incoming) => part,
                () = parts.closed() => return drain(incoming).await,
            };
            let Some(part) = part else { return };
            if parts.send(part).await.is_err() {
                return drain(incoming).await;
            }
        }
    });
    BodyReader::new(Some(read))
}

async fn next_part(incoming: &mut Incoming) -> Option<io::Result<Bytes>> {
    loop {
        match poll_fn(|context| Pin::new(&mut *incoming).poll_frame(context)).await? {
            Ok(frame) => match frame.into_data() {
                Ok(bytes) => return Some(Ok(bytes)),
                // Trailers say nothing here.
                Err(_) => continue,
            },
            Err(error) => return Some(Err(io::Error::other(error))),
        }
    }
}

/// Reads a little of what nobody wants: a connection that is closed with something unread is cut
/// off, and with it the answer that the client has not read yet.
async fn drain(mut incoming: Incoming) {
    let mut left = DRAINED_BYTES;
    let all = async {
        while let Some(Ok(bytes)) = next_part(&mut incoming).await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAINING, all).await;
}
