//! Two connections, with bytes carried from each to the other.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

/// What is carried at a time, and kept at most for who does not take it.
const PIECE_BYTES: usize = 16 * 1024;
/// So many pieces are carried before others have their turn.
const PIECES: usize = 16;

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
    /// Whether all was read, and the other side was told.
    ended: bool,
}

impl Pair {
    pub(super) fn new(caller: TcpStream, container: TcpStream) -> io::Result<Pair> {
        caller.set_nonblocking(true)?;
        Ok(Pair { there: Way::default(), back: Way::default(), caller, container })
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
            let bytes = match from.read(&mut piece) {
                Ok(0) => {
                    to.shutdown(Shutdown::Write)?;
                    self.ended = true;
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

/// Whether a socket only needs more time: also one that is still being connected.
fn is_pending(error: &io::Error) -> bool {
    let connecting = [rustix::io::Errno::NOTCONN, rustix::io::Errno::INPROGRESS];
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
        || connecting.iter().any(|it| error.raw_os_error() == Some(it.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn ends() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let outer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (outer, listener.accept().unwrap().0)
    }

    #[test]
    fn bytes_go_both_ways_and_ends_are_passed_on() {
        let ((mut caller, near), (mut server, far)) = (ends(), ends());
        far.set_nonblocking(true).unwrap();
        let mut pair = Pair::new(near, far).unwrap();
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
        far.set_nonblocking(true).unwrap();
        let mut pair = Pair::new(near, far).unwrap();
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
