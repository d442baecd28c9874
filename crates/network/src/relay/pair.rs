//! Two connections, with bytes carried from each to the other.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;

/// What is carried at a time, and kept at most for who does not take it.
const PIECE_BYTES: usize = 16 * 1024;
/// So many pieces are carried before others have their turn.
const PIECES: usize = 16;
/// After so long without a word, and then as often, a side is asked whether it is there still.
const ASK: Duration = Duration::from_secs(15);
/// A side that has not answered so many times is gone.
const ASKED: u32 = 9;

/// Who called, and the container.
pub(super) struct Pair {
    there: Way,
    back: Way,
    caller: TcpStream,
    container: TcpStream,
}

/// How it goes on with a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// Nothing can be done before something happens.
    Waiting,
    /// There is more to do at once.
    More,
    /// Both sides have said all, or one has broken off.
    Over,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// What was read and not taken yet.
    waiting: Vec<u8>,
    /// Whether all was read.
    read: bool,
    /// Whether the other side was told so.
    ended: bool,
}

impl Pair {
    /// Of two sockets that do not block; the container's may not be connected yet.
    pub(super) fn new(caller: TcpStream, container: TcpStream) -> Pair {
        for socket in [&caller, &container] {
            // SCTP does so by itself and has no words for it.
            let _ = ask_for_life(socket);
        }
        Pair { there: Way::default(), back: Way::default(), caller, container }
    }

    pub(super) fn sockets(&self) -> [&TcpStream; 2] {
        [&self.caller, &self.container]
    }

    /// Carries what there is, both ways.
    pub(super) fn carry(&mut self) -> Progress {
        let there = self.there.carry(&self.caller, &self.container);
        let back = self.back.carry(&self.container, &self.caller);
        match (there, back) {
            (Ok(Progress::Over), Ok(Progress::Over)) | (Err(_), _) | (_, Err(_)) => Progress::Over,
            (Ok(Progress::More), _) | (_, Ok(Progress::More)) => Progress::More,
            _ => Progress::Waiting,
        }
    }
}

impl Way {
    fn carry(&mut self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<Progress> {
        let mut piece = [0; PIECE_BYTES];
        for _ in 0..PIECES {
            if self.ended {
                return Ok(Progress::Over);
            }
            if !self.flush(to)? {
                return Ok(Progress::Waiting);
            }
            if self.read {
                // The end of what was said before a connection stands would end the connection.
                if !is_connected(to) {
                    return Ok(Progress::Waiting);
                }
                to.shutdown(Shutdown::Write)?;
                self.ended = true;
                continue;
            }
            let bytes = match from.read(&mut piece) {
                Ok(0) => {
                    self.read = true;
                    continue;
                }
                Ok(bytes) => bytes,
                Err(error) if is_pending(&error) => return Ok(Progress::Waiting),
                Err(error) => return Err(error),
            };
            let taken = match to.write(&piece[..bytes]) {
                Ok(taken) => taken,
                Err(error) if is_pending(&error) => 0,
                Err(error) => return Err(error),
            };
            self.waiting.extend(&piece[taken..bytes]);
        }
        Ok(Progress::More)
    }

    /// Whether all that was read is taken.
    fn flush(&mut self, mut to: &TcpStream) -> io::Result<bool> {
        while !self.waiting.is_empty() {
            match to.write(&self.waiting) {
                Ok(taken) => drop(self.waiting.drain(..taken)),
                Err(error) if is_pending(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Has the kernel find out when the other side has vanished without a word.
fn ask_for_life(socket: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, ASK)?;
    sockopt::set_tcp_keepintvl(socket, ASK)?;
    sockopt::set_tcp_keepcnt(socket, ASKED)
}

fn is_connected(socket: &TcpStream) -> bool {
    !matches!(socket.peer_addr(), Err(error) if error.kind() == io::ErrorKind::NotConnected)
}

/// Whether a socket only needs more time: also one that is still being connected.
fn is_pending(error: &io::Error) -> bool {
    let connecting = [rustix::io::Errno::NOTCONN, rustix::io::Errno::INPROGRESS];
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        || connecting.iter().any(|it| error.raw_os_error() == Some(it.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    use std::net::TcpListener;

    fn ends() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let outer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let inner = listener.accept().unwrap().0;
        inner.set_nonblocking(true).unwrap();
        (outer, inner)
    }

    #[test]
    fn who_has_vanished_is_asked_for() {
        let ((_caller, near), (_server, far)) = (ends(), ends());
        for socket in Pair::new(near, far).sockets() {
            assert!(sockopt::socket_keepalive(socket).unwrap());
            assert_eq!(sockopt::tcp_keepidle(socket).unwrap(), ASK);
        }
    }

    #[test]
    fn an_end_that_comes_before_the_connection_waits_for_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Who calls while another one waits already has to call again.
        rustix::net::listen(&listener, 0).unwrap();
        let _first = TcpStream::connect(address).unwrap();
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        let far = socket_with(family, kind, SocketFlags::NONBLOCK, None).unwrap();
        assert_eq!(rustix::net::connect(&far, &address), Err(Errno::INPROGRESS));
        let (mut caller, near) = ends();
        caller.shutdown(Shutdown::Write).unwrap();
        let mut pair = Pair::new(near, far.into());
        while !pair.there.read {
            assert_eq!(pair.carry(), Progress::Waiting);
        }
        let serving = std::thread::spawn(move || {
            drop(listener.accept().unwrap());
            let (mut server, _) = listener.accept().unwrap();
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
            server.write_all(b"answer").unwrap();
        });
        while pair.carry() != Progress::Over {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(pair);
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        serving.join().unwrap();
        assert_eq!(answer, "answer");
    }

    #[test]
    fn bytes_go_both_ways_and_ends_are_passed_on() {
        let ((mut caller, near), (mut server, far)) = (ends(), ends());
        let mut pair = Pair::new(near, far);
        let question = vec![7; 300_000];
        let asked = question.clone();
        let asking = std::thread::spawn(move || {
            caller.write_all(&asked).unwrap();
            caller.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            caller.read_to_string(&mut answer).unwrap();
            answer
        });
        let serving = std::thread::spawn(move || {
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).unwrap();
            server.write_all(b"understood").unwrap();
            heard
        });
        while pair.carry() != Progress::Over {
            std::thread::yield_now();
        }
        drop(pair);
        assert_eq!(serving.join().unwrap(), question);
        assert_eq!(asking.join().unwrap(), "understood");
    }

    #[test]
    fn who_breaks_off_ends_it() {
        let ((caller, near), (server, far)) = (ends(), ends());
        let mut pair = Pair::new(near, far);
        assert_eq!(pair.carry(), Progress::Waiting);
        // A socket that is closed over what it has not read resets its connection.
        (&caller).write_all(b"x").unwrap();
        while pair.there.waiting.is_empty() && pair.carry() == Progress::Waiting {
            let mut byte = [0];
            server.set_nonblocking(true).unwrap();
            if server.peek(&mut byte).is_ok() {
                break;
            }
        }
        drop(server);
        while pair.carry() != Progress::Over {
            std::thread::yield_now();
        }
    }
}
