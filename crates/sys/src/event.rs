//! Waiting for many things at once: descriptors (poll), signals (signalfd), changes below a
//! folder (inotify).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify;
use rustix::io::Errno;

/// What somebody waits for on a descriptor. Its end and its errors always count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interest {
    /// There is something to read.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
}

impl Interest {
    /// Something to read.
    pub const READ: Interest = Interest { read: true, write: false };

    fn flags(self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, self.read);
        flags.set(PollFlags::OUT, self.write);
        flags
    }
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// Its place among those that were asked for.
    pub place: usize,
    /// Reading does not block; at the end it gives nothing, or an error.
    pub read: bool,
    /// Writing does not block.
    pub write: bool,
    /// The other side has gone.
    pub hangup: bool,
}

/// Waits until some of these descriptors are ready or the time is over, and gives those that are,
/// with their places among these.
pub fn wait(
    sources: &[(BorrowedFd<'_>, Interest)],
    patience: Option<Duration>,
) -> io::Result<Vec<Ready>> {
    let asked =
        sources.iter().map(|(fd, interest)| PollFd::from_borrowed_fd(*fd, interest.flags()));
    let mut asked: Vec<_> = asked.collect();
    match rustix::event::poll(&mut asked, patience.map(timespec).as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let ready = asked.iter().enumerate().filter_map(|(place, fd)| {
        let got = fd.revents();
        let failed = got.intersects(PollFlags::ERR | PollFlags::NVAL);
        let hangup = failed || got.contains(PollFlags::HUP);
        (!got.is_empty()).then(|| Ready {
            place,
            read: hangup || got.contains(PollFlags::IN),
            write: failed || got.contains(PollFlags::OUT),
            hangup,
        })
    });
    Ok(ready.collect())
}

/// Waits for a few descriptors, and says for each whether it is ready.
pub fn poll<const N: usize>(
    sources: [(Option<BorrowedFd<'_>>, Interest); N],
    patience: Option<Duration>,
) -> io::Result<[Ready; N]> {
    let mut result =
        std::array::from_fn(|place| Ready { place, read: false, write: false, hangup: false });
    let mut asked = Vec::with_capacity(N);
    let mut places = Vec::with_capacity(N);
    for (place, (fd, interest)) in sources.iter().enumerate() {
        let Some(fd) = fd else { continue };
        asked.push(PollFd::from_borrowed_fd(*fd, interest.flags()));
        places.push(place);
    }
    let patience = patience.map(timespec);
    match rustix::event::poll(&mut asked, patience.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    for (fd, place) in asked.iter().zip(places) {
        let got = fd.revents();
        let hangup = got.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
        let (read, write) = (got.contains(PollFlags::IN) || hangup, got.contains(PollFlags::OUT));
        result[place] = Ready { place, read, write: write || hangup, hangup };
    }
    Ok(result)
}

fn timespec(time: Duration) -> Timespec {
    Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
}

/// Signals of this thread, read from a descriptor for as long as this lives instead of doing what
/// they do. A process that uses this should have one thread.
pub struct Signals {
    fd: OwnedFd,
    before: libc::sigset_t,
}

impl Signals {
    /// Takes these signals.
    pub fn take(numbers: &[i32]) -> io::Result<Signals> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` fills the set, which the calls after it read; `pthread_sigmask`
        // fills `before`. All three point at live variables.
        let (fd, before) = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for number in numbers {
                libc::sigaddset(set.as_mut_ptr(), *number);
            }
            let failed = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr());
            if failed != 0 {
                return Err(io::Error::from_raw_os_error(failed));
            }
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            (libc::signalfd(-1, set.as_ptr(), flags), before.assume_init())
        };
        if fd < 0 {
            let error = io::Error::last_os_error();
            restore(&before);
            return Err(error);
        }
        // SAFETY: the call just made this descriptor, and nobody else knows it.
        Ok(Signals { fd: unsafe { OwnedFd::from_raw_fd(fd) }, before })
    }

    /// The signals that have come by now, in the order in which the kernel gives them.
    pub fn come(&self) -> io::Result<Vec<i32>> {
        const ONE: usize = size_of::<libc::signalfd_siginfo>();
        const ROOM: usize = 8;
        let mut numbers = Vec::new();
        loop {
            let mut bytes = [0_u8; ROOM * ONE];
            let read = match rustix::io::read(&self.fd, &mut bytes[..]) {
                Err(Errno::AGAIN) => 0,
                other => other?,
            };
            let number = |one: &[u8]| u32::from_ne_bytes([one[0], one[1], one[2], one[3]]) as i32;
            numbers.extend(bytes[..read].chunks_exact(ONE).map(number));
            // Only where there was room for more than came is it known that no more have come.
            if read < bytes.len() {
                return Ok(numbers);
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Signals {
    /// What came and was not asked for is taken too: it would otherwise do now what it does when
    /// nobody holds it back, which for most is to end the process.
    fn drop(&mut self) {
        let _ = self.come();
        restore(&self.before);
    }
}

/// Does something with no signal blocked, as starting a program that must not inherit what this
/// thread has blocked.
pub fn unblocked<T>(work: impl FnOnce() -> T) -> T {
    let mut empty = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` fills the set that the next call reads, and that call fills `before`.
    let before = unsafe {
        libc::sigemptyset(empty.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, empty.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    };
    let result = work();
    restore(&before);
    result
}

fn restore(mask: &libc::sigset_t) {
    // SAFETY: the mask is one that the kernel gave; nothing is written.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
}

/// Tells when something below a folder changes.
pub struct FolderWatch {
    fd: OwnedFd,
}

impl FolderWatch {
    /// Watches for files that are written, made, renamed and deleted in a folder.
    pub fn new(folder: &Path) -> io::Result<FolderWatch> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let what = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVE
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::DELETE_SELF
            | inotify::WatchFlags::ONLYDIR;
        inotify::add_watch(&fd, folder, what)?;
        Ok(FolderWatch { fd })
    }

    /// Forgets what has changed up to now; what changes afterwards is told.
    pub fn clear(&self) -> io::Result<()> {
        let mut bytes = [0_u8; 4096];
        loop {
            match rustix::io::read(&self.fd, &mut bytes[..]) {
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for FolderWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes reads and writes return at once instead of waiting. It holds for everybody who shares the
/// open file, so it is for pipes, sockets and terminals of our own.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

/// Reads what is there. `None` means that nothing is there yet, 0 that there is no more. The end
/// of a terminal, which Linux tells as an error, is an end too.
pub fn read_some(fd: impl AsFd, bytes: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match rustix::io::read(fd.as_fd(), &mut *bytes) {
            Ok(read) => return Ok(Some(read)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(Errno::IO) => return Ok(Some(0)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes what there is room for. `None` means that there is none yet.
pub fn write_some(fd: impl AsFd, bytes: &[u8]) -> io::Result<Option<usize>> {
    loop {
        match rustix::io::write(fd.as_fd(), bytes) {
            Ok(written) => return Ok(Some(written)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The number of a descriptor, to tell it from others that are open.
pub fn number(fd: impl AsFd) -> i32 {
    fd.as_fd().as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_becomes_ready_and_ends() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        set_nonblocking(&reader).unwrap();
        let sources = [(writer.as_fd(), Interest::default()), (reader.as_fd(), Interest::READ)];
        assert_eq!(wait(&sources, Some(Duration::ZERO)).unwrap(), []);
        assert_eq!(write_some(&writer, b"abc").unwrap(), Some(3));
        let ready = wait(&sources, None).unwrap();
        assert_eq!(ready, [Ready { place: 1, read: true, write: false, hangup: false }]);
        let mut bytes = [0; 8];
        assert_eq!(read_some(&reader, &mut bytes).unwrap(), Some(3));
        assert_eq!(read_some(&reader, &mut bytes).unwrap(), None);
        drop(writer);
        let ready = wait(&[(reader.as_fd(), Interest::READ)], None).unwrap();
        assert!(ready[0].hangup && ready[0].read && !ready[0].write);
        assert_eq!(read_some(&reader, &mut bytes).unwrap(), Some(0));
    }

    #[test]
    fn a_signal_is_read_and_the_mask_comes_back() {
        let signals = Signals::take(&[libc::SIGUSR2]).unwrap();
        assert_eq!(signals.come().unwrap(), []);
        // SAFETY: the signal goes to this thread, which has it blocked.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR2) };
        assert_eq!(signals.come().unwrap(), [libc::SIGUSR2]);
        let again = Signals::take(&[libc::SIGUSR2]).unwrap();
        drop(again);
        drop(signals);
    }

    #[test]
    fn changes_below_a_folder_are_told() {
        let folder = std::env::temp_dir().join(format!("sys-event-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let watch = FolderWatch::new(&folder).unwrap();
        std::fs::write(folder.join("a"), "x").unwrap();
        let [ready] = poll([(Some(watch.as_fd()), Interest::READ)], Some(Duration::ZERO)).unwrap();
        assert!(ready.read);
        watch.clear().unwrap();
        let [ready] = poll([(Some(watch.as_fd()), Interest::READ)], Some(Duration::ZERO)).unwrap();
        assert!(!ready.read);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
