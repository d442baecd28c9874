//! The door: who may come in, how many at once, and how all leave when it closes.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};
use sys::event::{Interest, poll};

use super::stream::{Socket, Stream};
use super::tls::Certificate;
use super::{Service, connection};

/// What a thread of a connection needs: buffers are on the heap.
const STACK_BYTES: usize = 512 << 10;

/// How many may come, and how long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once.
    pub(crate) connections: usize,
    /// Between two signs of life.
    pub(crate) idle: Duration,
    /// From a request's first byte until its head is there.
    pub(crate) head: Duration,
    /// For a client that still sends what we will not read.
    pub(crate) linger: Duration,
    /// For requests that are being answered when the server stops.
    pub(crate) grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 1024,
            idle: Duration::from_secs(60),
            head: Duration::from_secs(20),
            linger: Duration::from_secs(2),
            grace: Duration::from_secs(8),
        }
    }
}

/// A connection, seen from the door.
pub(super) struct Guest {
    socket: Arc<TcpStream>,
    busy: AtomicBool,
    room: Arc<Room>,
}

impl Guest {
    pub(super) fn limits(&self) -> &Limits {
        &self.room.limits
    }

    /// A request came.
    pub(super) fn begin(&self) {
        self.busy.store(true, Ordering::SeqCst);
    }

    /// It is answered.
    pub(super) fn end(&self) {
        self.busy.store(false, Ordering::SeqCst);
        if self.room.stopping.load(Ordering::SeqCst) {
            self.close(Shutdown::Both);
        }
    }

    /// Whether others wait for its place, or the server stops.
    pub(super) fn must_leave(&self) -> bool {
        let crowd = self.room.limits.connections * 3 / 4;
        self.room.stopping.load(Ordering::SeqCst) || self.room.guests().len() > crowd
    }

    pub(super) fn close(&self, what: Shutdown) {
        let _ = self.socket.shutdown(what);
    }

    /// Waits for the client no longer than a moment from now on.
    pub(super) fn hurry(&self) {
        let _ = self.socket.set_read_timeout(Some(self.room.limits.linger));
    }
}

/// All that are inside.
struct Room {
    limits: Limits,
    guests: Mutex<HashMap<u64, Arc<Guest>>>,
    left: Condvar,
    stopping: AtomicBool,
}

impl Room {
    fn guests(&self) -> MutexGuard<'_, HashMap<u64, Arc<Guest>>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that listens.
pub(crate) struct Server {
    listener: TcpListener,
    service: Arc<dyn Service>,
    certificate: Option<Certificate>,
    room: Arc<Room>,
}

impl Server {
    /// A server behind this socket.
    pub(crate) fn new(
        listener: TcpListener,
        service: Arc<dyn Service>,
        certificate: Option<Certificate>,
        limits: Limits,
    ) -> io::Result<Server> {
        // Whoever knocked may be gone when it is asked in.
        listener.set_nonblocking(true)?;
        let (guests, left) = (Mutex::default(), Condvar::new());
        let room = Room { limits, guests, left, stopping: AtomicBool::new(false) };
        Ok(Server { listener, service, certificate, room: Arc::new(room) })
    }

    /// Serves until `until` can be read; then lets those finish who are being served.
    pub(crate) fn run(self, until: BorrowedFd<'_>) -> io::Result<()> {
        for number in 0.. {
            let sources = [self.listener.as_fd(), until].map(|fd| (Some(fd), Interest::READ));
            let [_, stop] = poll(sources, None)?;
            if stop.read {
                break;
            }
            match self.listener.accept() {
                Ok((socket, _)) => self.welcome(number, socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Too many open files, mostly: somebody will leave.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
        drop(self.listener);
        see_off(&self.room);
        Ok(())
    }

    fn welcome(&self, number: u64, socket: TcpStream) {
        if self.room.guests().len() >= self.room.limits.connections {
            return refuse(&socket);
        }
        let limits = self.room.limits;
        // Answers go out in whole pieces; waiting for more would only hold them back.
        let ready = socket.set_nodelay(true);
        let ready = ready.and_then(|()| socket.set_read_timeout(Some(limits.idle)));
        let ready = ready.and_then(|()| socket.set_write_timeout(Some(limits.idle)));
        let Ok(peer) = ready.and_then(|()| socket.peer_addr()) else { return };
        let socket = Arc::new(socket);
        let (busy, room) = (AtomicBool::new(false), self.room.clone());
        let guest = Arc::new(Guest { socket: socket.clone(), busy, room });
        let service = self.service.clone();
        let stream = match self.certificate.as_ref().map(|Certificate(config)| config.clone()) {
            None => Stream::Plain(Socket(socket)),
            Some(config) => match ServerConnection::new(config) {
                Ok(connection) => {
                    Stream::Tls(Box::new(StreamOwned::new(connection, Socket(socket))))
                }
                Err(_) => return,
            },
        };
        self.enter(number, guest.clone());
        let place = Place { number, room: self.room.clone(), service: self.service.clone() };
        let thread = thread::Builder::new().name("connection".to_owned()).stack_size(STACK_BYTES);
        let work = move || {
            let _place = place;
            connection::serve(stream, peer, &guest, &*service);
        };
        // If there is no thread, the closure is dropped, and the place with it.
        let _ = thread.spawn(work);
    }

    fn enter(&self, number: u64, guest: Arc<Guest>) {
        let mut guests = self.room.guests();
        guests.insert(number, guest);
        self.service.connections(guests.len());
    }
}

/// A place in the room, free again when its thread ends, however it ends.
struct Place {
    number: u64,
    room: Arc<Room>,
    service: Arc<dyn Service>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guests = self.room.guests();
        guests.remove(&self.number);
        self.service.connections(guests.len());
        self.room.left.notify_all();
    }
}

fn refuse(mut socket: &TcpStream) {
    let text: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\
        Connection: close\r\n\r\n";
    let _ = socket.set_write_timeout(Some(Duration::from_millis(100)));
    let _ = socket.write_all(text);
}

/// Lets everybody go: the idle at once, the others when they are served or their time is up.
fn see_off(room: &Room) {
    room.stopping.store(true, Ordering::SeqCst);
    let mut guests = room.guests();
    let idle = guests.values().filter(|guest| !guest.busy.load(Ordering::SeqCst));
    idle.for_each(|guest| guest.close(Shutdown::Both));
    let end = Instant::now() + room.limits.grace;
    while !guests.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            guests.values().for_each(|guest| guest.close(Shutdown::Both));
            return;
        }
        let waited = room.left.wait_timeout(guests, left);
        guests = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}
