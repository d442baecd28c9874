//! The name server of one container. It has no thread: whoever watches the container watches one
//! descriptor more, and calls [`Server::ready`] when it is readable.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use spec::Protocol;

use super::names::{Known, Links, Names};
use super::stream::{MESSAGE_BYTES, Stream, framed};
use super::wire::{
    self, FAILURE, NO_SUCH_NAME, Question, REFUSED, SUCCESS, answer, answers, refusal,
};
use crate::Networks;
use crate::error::{NetworkError, Result};
use crate::netns::NetNs;
use crate::nft::{Moved, move_ports};

/// Where containers find their name server.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

const PORT: u16 = 53;
/// How long one server has for an answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a server that had no answer is asked after the others: whoever waited for it once is not to
/// wait for it with every name.
const DISTRUST: Duration = Duration::from_secs(30);
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// Who asks over a connection and leaves more than this unread is left.
const UNREAD_BYTES: usize = 1 << 20;
/// So many questions and connections at once; docker's limit.
const MOST: usize = 1024;

const DATAGRAMS: u64 = 0;
const CALLS: u64 = 1;
const TIMER: u64 = 2;

/// A name server for what is nobody's name here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upstream {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it is reached from the host's namespace, as one on the host's loopback must be,
    /// rather than from the container's.
    pub from_host: bool,
}

impl Upstream {
    /// The name server at an address of the host's `resolv.conf`.
    pub fn of_host(address: IpAddr) -> Upstream {
        Upstream { address: SocketAddr::new(address, PORT), from_host: address.is_loopback() }
    }

    /// One that was named for the container.
    pub fn of_container(address: IpAddr) -> Upstream {
        Upstream { address: SocketAddr::new(address, PORT), from_host: false }
    }
}

/// What a server does with names that it does not know.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// Whom to ask, in order; nobody in internal networks.
    pub upstreams: Vec<Upstream>,
    /// Whether names of one word are never asked for elsewhere: so if the container has an `ndots`
    /// of its own.
    pub single_words_stay: bool,
    /// Further names, each with the one that it stands for.
    pub links: Links,
}

/// Who waits for an answer.
#[derive(Clone, Copy)]
enum Asker {
    Datagram(SocketAddr),
    Connection(u64),
}

/// A question that was passed on.
struct Pending {
    asker: Asker,
    message: Vec<u8>,
    /// Who is asked now.
    asked: Option<SocketAddr>,
    /// Who can be asked after that, the next one last.
    left: Vec<Upstream>,
}

/// Something that is going on.
enum Task {
    /// A question on its way to a server and back, in a datagram.
    Asked(UdpSocket, Pending),
    /// The same over a connection, for an asker who uses one.
    Relayed(Stream, Pending),
    /// A connection of an asker.
    Calling(Stream),
}

/// The name server of one container.
pub struct Server {
    epoll: OwnedFd,
    timer: OwnedFd,
    datagrams: UdpSocket,
    calls: TcpListener,
    namespace: NetNs,
    names: Names,
    settings: ServerSettings,
    /// Servers that had no answer, and until when they are asked last.
    silent: BTreeMap<SocketAddr, Instant>,
    tasks: BTreeMap<u64, (Instant, Task)>,
    last: u64,
}

impl Networks {
    /// Starts to answer a container's questions at [`ADDRESS`] in its namespace.
    pub fn serve_names(
        &self,
        namespace: NetNs,
        container: &str,
        settings: ServerSettings,
    ) -> Result<Server> {
        let links = settings.links.clone();
        let names = Names::new(self.documents.clone(), container, links);
        let sockets = namespace.within(|| -> io::Result<_> {
            let (datagrams, calls) = listen()?;
            datagrams.set_nonblocking(true)?;
            calls.set_nonblocking(true)?;
            Ok((datagrams, calls))
        })?;
        let make = || -> io::Result<Server> {
            let (datagrams, calls) = sockets?;
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            watch(&epoll, &datagrams, DATAGRAMS, EventFlags::IN)?;
            watch(&epoll, &calls, CALLS, EventFlags::IN)?;
            watch(&epoll, &timer, TIMER, EventFlags::IN)?;
            Ok(Server {
                epoll,
                timer,
                datagrams,
                calls,
                namespace,
                names,
                settings,
                silent: BTreeMap::new(),
                tasks: BTreeMap::new(),
                last: TIMER,
            })
        };
        make().map_err(NetworkError::Names)
    }
}

/// Sockets of this thread's namespace at which questions to port 53 arrive. They have other ports, so
/// that the container can listen there itself; where the kernel has no nf_tables they have that one.
fn listen() -> io::Result<(UdpSocket, TcpListener)> {
    let at = |port| SocketAddr::from((ADDRESS, port));
    let (datagrams, calls) = (UdpSocket::bind(at(0))?, TcpListener::bind(at(0))?);
    let moved = [
        Moved { protocol: Protocol::Udp, asked: PORT, own: datagrams.local_addr()?.port() },
        Moved { protocol: Protocol::Tcp, asked: PORT, own: calls.local_addr()?.port() },
    ];
    match move_ports(ADDRESS, &moved) {
        Ok(()) => Ok((datagrams, calls)),
        Err(_) => Ok((UdpSocket::bind(at(PORT))?, TcpListener::bind(at(PORT))?)),
    }
}

impl AsFd for Server {
    /// Readable when there is something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn watch(epoll: &OwnedFd, what: impl AsFd, token: u64, flags: EventFlags) -> io::Result<()> {
    Ok(epoll::add(epoll, what, EventData::new_u64(token), flags)?)
}

impl Server {
    /// Does all that can be done without waiting. What goes wrong with one question is answered to
    /// who asked it; an error here is one of the server as a whole.
    pub fn ready(&mut self) -> Result<()> {
        self.turn().map_err(NetworkError::Names)
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(64);
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&now)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            match event.data.u64() {
                DATAGRAMS => self.receive(),
                CALLS => self.accept(),
                TIMER => {}
                token => self.advance(token, event.flags),
            }
        }
        let now = Instant::now();
        let late: Vec<u64> = self
            .tasks
            .iter()
            .filter(|(_, (end, _))| *end <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in late {
            if let Some((_, Task::Asked(_, pending) | Task::Relayed(_, pending))) =
                self.tasks.remove(&token)
            {
                self.silent.extend(pending.asked.map(|asked| (asked, now + DISTRUST)));
                self.pass_on(pending);
            }
        }
        self.set_timer(now)
    }

    /// Wakes the watcher when the first task is late.
    fn set_timer(&self, now: Instant) -> io::Result<()> {
        let first = self.tasks.values().map(|(end, _)| *end).min();
        let wait =
            first.map(|end| end.saturating_duration_since(now).max(Duration::from_millis(1)));
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = match wait {
            None => none,
            Some(wait) => Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            },
        };
        let setting = Itimerspec { it_interval: none, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }

    /// Takes the questions that came as datagrams, at most so many that others have their turn.
    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..64 {
            // An error here is about an earlier answer that nobody took.
            let Ok((bytes, from)) = self.datagrams.recv_from(&mut buffer) else { return };
            self.ask(&buffer[..bytes], Asker::Datagram(from));
        }
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.calls.accept() {
            if self.tasks.len() < MOST && socket.set_nonblocking(true).is_ok() {
                let stream = Stream::new(socket, Vec::new());
                self.start(SILENCE, Task::Calling(stream), EventFlags::IN);
            }
        }
    }

    fn start(&mut self, patience: Duration, task: Task, flags: EventFlags) -> bool {
        self.last += 1;
        let watched = match &task {
            Task::Asked(socket, _) => watch(&self.epoll, socket, self.last, flags),
            Task::Relayed(stream, _) | Task::Calling(stream) => {
                watch(&self.epoll, &stream.socket, self.last, flags)
            }
        };
        if watched.is_ok() {
            self.tasks.insert(self.last, (Instant::now() + patience, task));
        }
        watched.is_ok()
    }

    /// Answers a question, or passes it on.
    fn ask(&mut self, message: &[u8], asker: Asker) {
        let question = match Question::parse(message) {
            Ok(question) => question,
            Err(None) => return,
            Err(Some(code)) => {
                return refusal(message, code).into_iter().for_each(|it| self.tell(&it, asker));
            }
        };
        let known = match question.internet {
            true => self.names.look_up(&question.name, question.kind),
            false => Ok(Known::Elsewhere),
        };
        match known {
            Ok(Known::Here(records)) => {
                self.reply(message, &question, SUCCESS, &records, asker);
            }
            Ok(Known::Elsewhere) => self.elsewhere(message, &question, asker),
            Err(_) => self.reply(message, &question, FAILURE, &[], asker),
        }
    }

    fn elsewhere(&mut self, message: &[u8], question: &Question, asker: Asker) {
        let address = matches!(question.kind, wire::A | wire::AAAA);
        if self.settings.single_words_stay && address && !question.name.contains('.') {
            return self.reply(message, question, NO_SUCH_NAME, &[], asker);
        }
        if self.tasks.len() >= MOST {
            return self.reply(message, question, REFUSED, &[], asker);
        }
        let left = self.order(Instant::now());
        self.pass_on(Pending { asker, message: message.to_vec(), asked: None, left });
    }

    /// All servers, the first to be asked last.
    fn order(&mut self, now: Instant) -> Vec<Upstream> {
        self.silent.retain(|_, until| *until > now);
        let is_silent = |one: &&Upstream| self.silent.contains_key(&one.address);
        let all = self.settings.upstreams.iter();
        let (silent, well): (Vec<_>, Vec<_>) = all.rev().partition(is_silent);
        silent.into_iter().chain(well).copied().collect()
    }

    fn reply(
        &mut self,
        message: &[u8],
        question: &Question,
        code: u8,
        records: &[wire::Record],
        asker: Asker,
    ) {
        let room = match asker {
            Asker::Datagram(_) => question.room(),
            Asker::Connection(_) => MESSAGE_BYTES,
        };
        self.tell(&answer(message, question, code, records, room), asker);
    }

    /// Sends an answer. Who does not take it asks again.
    fn tell(&mut self, reply: &[u8], asker: Asker) {
        match asker {
            Asker::Datagram(to) => {
                let _ = self.datagrams.send_to(reply, to);
            }
            Asker::Connection(token) => {
                if let Some((end, Task::Calling(stream))) = self.tasks.get_mut(&token) {
                    *end = Instant::now() + SILENCE;
                    stream.output.extend(framed(reply));
                    let deaf = stream.output.len() > UNREAD_BYTES;
                    match deaf {
                        true => drop(self.tasks.remove(&token)),
                        false => self.flush(token),
                    }
                }
            }
        }
    }

    /// Asks the next server; without one, the asker hears that it failed.
    fn pass_on(&mut self, mut pending: Pending) {
        while let Some(upstream) = pending.left.pop() {
            pending.asked = Some(upstream.address);
            let over_tcp = matches!(pending.asker, Asker::Connection(_));
            let task = match over_tcp {
                false => self.socket(upstream, SocketType::DGRAM).and_then(|socket| {
                    rustix::net::send(&socket, &pending.message, rustix::net::SendFlags::empty())?;
                    Ok(Task::Asked(socket.into(), pending_again(&pending)))
                }),
                true => self.socket(upstream, SocketType::STREAM).map(|socket| {
                    let output = framed(&pending.message);
                    let stream = Stream::new(socket.into(), output);
                    Task::Relayed(stream, pending_again(&pending))
                }),
            };
            let flags = if over_tcp { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            if task.is_ok_and(|task| self.start(PATIENCE, task, flags)) {
                return;
            }
        }
        if let Ok(question) = Question::parse(&pending.message) {
            self.reply(&pending.message, &question, FAILURE, &[], pending.asker);
        }
    }

    /// A socket that is connected to a server, or about to be, from where the server is reached.
    fn socket(&self, upstream: Upstream, kind: SocketType) -> io::Result<OwnedFd> {
        let connect = || -> io::Result<OwnedFd> {
            let family = match upstream.address {
                SocketAddr::V4(_) => AddressFamily::INET,
                SocketAddr::V6(_) => AddressFamily::INET6,
            };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = rustix::net::socket_with(family, kind, flags, None)?;
            match rustix::net::connect(&socket, &upstream.address) {
                Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
                Err(error) => Err(error.into()),
            }
        };
        match upstream.from_host {
            true => connect(),
            false => self.namespace.within(connect).map_err(io::Error::other)?,
        }
    }

    /// Goes on with a task whose socket is ready.
    fn advance(&mut self, token: u64, flags: EventFlags) {
        let Some((_, task)) = self.tasks.get_mut(&token) else { return };
        match task {
            Task::Asked(socket, pending) => {
                let mut buffer = [0; 65_536];
                let code = match socket.recv(&mut buffer) {
                    Ok(bytes) => answers(&buffer[..bytes], &pending.message).map(|it| (it, bytes)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                    Err(_) => return self.give_up(token),
                };
                // Something else than the answer is nobody's business.
                let Some((code, bytes)) = code else { return };
                self.hand_back(token, code, &buffer[..bytes]);
            }
            Task::Relayed(stream, pending) => {
                if stream.write().is_err() || stream.read().is_err() {
                    return self.give_up(token);
                }
                if stream.output.is_empty() {
                    let data = EventData::new_u64(token);
                    let _ = epoll::modify(&self.epoll, &stream.socket, data, EventFlags::IN);
                }
                match stream.message() {
                    None if stream.ended => self.give_up(token),
                    None => {}
                    Some(reply) => match answers(&reply, &pending.message) {
                        Some(code) => self.hand_back(token, code, &reply),
                        None => self.give_up(token),
                    },
                }
            }
            Task::Calling(stream) => {
                let gone = flags.intersects(EventFlags::HUP | EventFlags::ERR);
                if gone || stream.read().is_err() {
                    self.tasks.remove(&token);
                    return;
                }
                let messages: Vec<_> = std::iter::from_fn(|| stream.message()).collect();
                for message in messages {
                    self.ask(&message, Asker::Connection(token));
                }
                self.flush(token);
            }
        }
    }

    /// Hands a server's answer to who asked, unless the next server may do better.
    fn hand_back(&mut self, token: u64, code: u8, reply: &[u8]) {
        let Some((_, Task::Asked(_, pending) | Task::Relayed(_, pending))) =
            self.tasks.remove(&token)
        else {
            return;
        };
        // Whoever answers is not silent, whatever the answer.
        if let Some(asked) = &pending.asked {
            self.silent.remove(asked);
        }
        match matches!(code, FAILURE | REFUSED) && !pending.left.is_empty() {
            true => self.pass_on(pending),
            false => self.tell(reply, pending.asker),
        }
    }

    fn give_up(&mut self, token: u64) {
        if let Some((_, Task::Asked(_, pending) | Task::Relayed(_, pending))) =
            self.tasks.remove(&token)
        {
            self.pass_on(pending);
        }
    }

    /// Writes what a caller's connection takes, and watches it for the rest.
    fn flush(&mut self, token: u64) {
        let Some((_, Task::Calling(stream))) = self.tasks.get_mut(&token) else { return };
        if stream.write().is_err() {
            self.tasks.remove(&token);
            return;
        }
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, !stream.ended);
        flags.set(EventFlags::OUT, !stream.output.is_empty());
        let _ = epoll::modify(&self.epoll, &stream.socket, EventData::new_u64(token), flags);
    }
}

fn pending_again(pending: &Pending) -> Pending {
    let Pending { asker, message, asked, left } = pending;
    Pending { asker: *asker, message: message.clone(), asked: *asked, left: left.clone() }
}
