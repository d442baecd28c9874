//! Messages between a process and the one that it makes: whole datagrams, perhaps with a
//! descriptor.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::error::Failure;

/// What is said.
#[derive(Debug)]
pub(crate) enum Message {
    /// To the child: its users are mapped.
    Mapped,
    /// From the child: the namespaces are there, hooks may run.
    Hooks,
    /// To the child: go on.
    Go,
    /// From the middle process: the child has this number and this descriptor.
    Born(i32, OwnedFd),
    /// From the child: the terminal's other end.
    Terminal(OwnedFd),
    /// From the child: everything is ready, the program waits for its start.
    Ready,
    /// From the child: it failed.
    Failed(Failure),
    /// Nobody is there any more; after a start: the program runs.
    Closed,
}

/// One end of a channel.
pub(crate) struct Channel(pub(crate) OwnedFd);

impl Channel {
    /// Two ends.
    pub(crate) fn pair() -> io::Result<(Channel, Channel)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Channel(ours), Channel(theirs)))
    }

    /// Says something.
    pub(crate) fn send(&self, message: &Message) -> io::Result<()> {
        let (tag, body, file) = match message {
            Message::Mapped => (b'm', Vec::new(), None),
            Message::Hooks => (b'h', Vec::new(), None),
            Message::Go => (b'g', Vec::new(), None),
            Message::Born(pid, pidfd) => (b'b', pid.to_ne_bytes().to_vec(), Some(pidfd.as_fd())),
            Message::Terminal(file) => (b't', Vec::new(), Some(file.as_fd())),
            Message::Ready => (b'r', Vec::new(), None),
            Message::Failed(failure) => (b'f', failure.to_bytes(), None),
            Message::Closed => return Ok(()),
        };
        send_with(&self.0, &[&[tag], &body], file)
    }

    /// Waits for what is said next.
    pub(crate) fn receive(&self) -> io::Result<Message> {
        let mut buffer = [0; 4096];
        let (bytes, file) = receive_with(&self.0, &mut buffer)?;
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "an unknown message");
        let Some((tag, body)) = buffer[..bytes].split_first() else {
            return Ok(Message::Closed);
        };
        match (tag, file) {
            (b'm', None) => Ok(Message::Mapped),
            (b'h', None) => Ok(Message::Hooks),
            (b'g', None) => Ok(Message::Go),
            (b'b', Some(pidfd)) => {
                let pid = body.try_into().map_err(|_| wrong())?;
                Ok(Message::Born(i32::from_ne_bytes(pid), pidfd))
            }
            (b't', Some(file)) => Ok(Message::Terminal(file)),
            (b'r', None) => Ok(Message::Ready),
            (b'f', None) => Failure::from_bytes(body).map(Message::Failed).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

/// Sends bytes, perhaps with a descriptor.
pub(crate) fn send_with(
    socket: impl AsFd,
    parts: &[&[u8]],
    file: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files: Vec<_> = file.into_iter().collect();
    if !files.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&files));
    }
    let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    rustix::io::retry_on_intr(|| sendmsg(&socket, &parts, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Receives bytes, perhaps with a descriptor.
pub(crate) fn receive_with(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(buffer)];
        match recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            // The other process was killed with words of ours unread.
            Err(rustix::io::Errno::CONNRESET) => return Ok((0, None)),
            other => break other?,
        }
    };
    let file = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    Ok((received.bytes, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_with_their_descriptors() {
        let (ours, theirs) = Channel::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        ours.send(&Message::Born(7, file.into())).unwrap();
        let failure =
            Failure { step: "a".into(), call: "b".into(), argument: "c".into(), errno: 5 };
        ours.send(&Message::Failed(failure.clone())).unwrap();
        drop(ours);
        assert!(matches!(theirs.receive().unwrap(), Message::Born(7, _)));
        assert!(matches!(theirs.receive().unwrap(), Message::Failed(got) if got == failure));
        assert!(matches!(theirs.receive().unwrap(), Message::Closed));
    }
}
