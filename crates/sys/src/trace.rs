//! Another program's system calls, each held until somebody decides about it (seccomp's user
//! notifications). What a program would lose by a crash between two calls can be tried so.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A system call that waits to be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    id: u64,
    /// The thread that makes it.
    pub thread: u32,
    /// Which one it is.
    pub name: &'static str,
    /// Its arguments; pointers are into the thread's memory.
    pub arguments: [u64; 6],
}

/// What arrives at a [`Watch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A call, which waits for an answer.
    Call(Call),
    /// The program has ended.
    End,
    /// Nothing for as long as was asked.
    Silence,
}

/// Calls by their names and numbers.
pub type Table = &'static [(&'static str, libc::c_long)];

/// The place where a program's calls arrive.
pub struct Watch {
    listener: OwnedFd,
    process: OwnedFd,
    tables: Vec<Table>,
}

/// Starts a program of which every call in these tables waits for an answer. The program must
/// exist: the news that it cannot be started would wait too.
pub fn spawn(command: &mut Command, tables: &[Table]) -> io::Result<(Child, Watch)> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let mut filter = filter(tables);
    // SAFETY: between fork and exec the closure makes system calls alone: it allocates nothing,
    // takes no lock, and what it uses was made before the fork.
    unsafe {
        command.pre_exec(move || {
            let listener = install(&mut filter)?;
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let sent = [listener.as_fd()];
            control.push(SendAncillaryMessage::ScmRights(&sent));
            sendmsg(&theirs, &[io::IoSlice::new(b"l")], &mut control, SendFlags::empty())?;
            Ok(())
        });
    }
    let child = command.spawn()?;
    let listener = receive(&ours)?;
    let process = open(&child)?;
    Ok((child, Watch { listener, process, tables: tables.to_vec() }))
}

impl Watch {
    /// Waits for a call, or for the end.
    pub fn next(&self, patience: Duration) -> io::Result<Seen> {
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        loop {
            let mut sources = [
                PollFd::new(&self.listener, PollFlags::IN),
                PollFd::new(&self.process, PollFlags::IN),
            ];
            match poll(&mut sources, Some(&patience)) {
                Err(rustix::io::Errno::INTR) => continue,
                Ok(0) => return Ok(Seen::Silence),
                other => drop(other?),
            }
            if sources[0].revents().contains(PollFlags::IN) {
                match self.receive() {
                    // It ended before it was heard.
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
                    other => return other.map(Seen::Call),
                }
            }
            return Ok(Seen::End);
        }
    }

    fn receive(&self) -> io::Result<Call> {
        // SAFETY: all-zero bytes are a valid `seccomp_notif`, which is made of integers.
        let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
        // SAFETY: the kernel fills `notice`, whose size is part of the request's number.
        if unsafe { libc::ioctl(self.listener.as_raw_fd(), request, &raw mut notice) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let number = libc::c_long::from(notice.data.nr);
        let known = self.tables.iter().copied().flatten().find(|(_, known)| *known == number);
        let name = known.map_or("unknown", |(name, _)| name);
        Ok(Call { id: notice.id, thread: notice.pid, name, arguments: notice.data.args })
    }

    /// Lets a call be carried out.
    pub fn allow(&self, call: &Call) -> io::Result<()> {
        self.answer(call, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32)
    }

    /// Makes a call fail without being carried out.
    pub fn fail(&self, call: &Call, errno: i32) -> io::Result<()> {
        self.answer(call, -errno, 0)
    }

    fn answer(&self, call: &Call, error: i32, flags: u32) -> io::Result<()> {
        let mut answer = libc::seccomp_notif_resp { id: call.id, val: 0, error, flags };
        let request = libc::SECCOMP_IOCTL_NOTIF_SEND;
        // SAFETY: the kernel reads `answer`, whose size is part of the request's number.
        match unsafe { libc::ioctl(self.listener.as_raw_fd(), request, &raw mut answer) } {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                // Whoever asked is dead.
                error if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
                error => Err(error),
            },
        }
    }
}

/// A program for the kernel: calls in these tables are held, all others pass. It keeps nobody
/// from anything, so that calls by the numbers of another architecture may pass too.
fn filter(tables: &[Table]) -> Vec<libc::sock_filter> {
    let step = |code: u32, k: u32, jt: usize| libc::sock_filter {
        code: code as u16,
        jt: u8::try_from(jt).expect("the table has fewer than 255 calls"),
        jf: 0,
        k,
    };
    let number = std::mem::offset_of!(libc::seccomp_data, nr) as u32;
    let mut filter = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, number, 0)];
    let held: Vec<_> = tables.iter().copied().flatten().collect();
    for (at, (_, number)) in held.iter().enumerate() {
        // On to the last instruction, over the other comparisons and the one that allows.
        let distance = held.len() - at;
        filter.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, *number as u32, distance));
    }
    filter.push(step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0));
    filter.push(step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF, 0));
    filter
}

/// Waits until a child has ended, for at most so long, and says whether it has. It can still be
/// waited for.
pub fn has_ended(child: &Child, patience: Duration) -> io::Result<bool> {
    let process = open(child)?;
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    loop {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience)) {
            Err(rustix::io::Errno::INTR) => continue,
            other => return Ok(other? > 0),
        }
    }
}

fn open(child: &Child) -> io::Result<OwnedFd> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let id = id.ok_or_else(|| io::Error::other("a child has a process id"))?;
    Ok(pidfd_open(id, PidfdFlags::empty())?)
}

/// Puts this thread under a filter and gives the descriptor where held calls arrive.
fn install(filter: &mut [libc::sock_filter]) -> io::Result<OwnedFd> {
    let program =
        libc::sock_fprog { len: filter.len() as libc::c_ushort, filter: filter.as_mut_ptr() };
    // Without privileges the kernel takes filters only from those who cannot gain any.
    rustix::thread::set_no_new_privs(true)?;
    // SAFETY: `program` points at `len` instructions that outlive the call; the kernel copies them
    // and writes nothing back.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(listener as i32) })
}

/// Takes the descriptor that a child has sent.
fn receive(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    recvmsg(socket, &mut [io::IoSliceMut::new(&mut byte)], &mut control, flags)?;
    let sent = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sent) => sent.next(),
        _ => None,
    });
    sent.ok_or_else(|| io::Error::other("the child sent no descriptor"))
}

/// Calls that change files, mounts or locks; some can also be harmless, by their arguments.
#[rustfmt::skip]
pub const CHANGING: Table = &[
    ("openat", libc::SYS_openat),
    ("openat2", libc::SYS_openat2),
    ("write", libc::SYS_write),
    ("pwrite64", libc::SYS_pwrite64),
    ("writev", libc::SYS_writev),
    ("pwritev", libc::SYS_pwritev),
    ("pwritev2", libc::SYS_pwritev2),
    ("renameat", libc::SYS_renameat),
    ("renameat2", libc::SYS_renameat2),
    ("unlinkat", libc::SYS_unlinkat),
    ("mkdirat", libc::SYS_mkdirat),
    ("linkat", libc::SYS_linkat),
    ("symlinkat", libc::SYS_symlinkat),
    ("mknodat", libc::SYS_mknodat),
    ("truncate", libc::SYS_truncate),
    ("ftruncate", libc::SYS_ftruncate),
    ("fallocate", libc::SYS_fallocate),
    ("copy_file_range", libc::SYS_copy_file_range),
    ("sendfile", libc::SYS_sendfile),
    ("splice", libc::SYS_splice),
    ("fsync", libc::SYS_fsync),
    ("fdatasync", libc::SYS_fdatasync),
    ("syncfs", libc::SYS_syncfs),
    ("sync_file_range", libc::SYS_sync_file_range),
    ("flock", libc::SYS_flock),
    ("fchmod", libc::SYS_fchmod),
    ("fchmodat", libc::SYS_fchmodat),
    ("fchown", libc::SYS_fchown),
    ("fchownat", libc::SYS_fchownat),
    ("utimensat", libc::SYS_utimensat),
    ("setxattr", libc::SYS_setxattr),
    ("lsetxattr", libc::SYS_lsetxattr),
    ("fsetxattr", libc::SYS_fsetxattr),
    ("removexattr", libc::SYS_removexattr),
    ("lremovexattr", libc::SYS_lremovexattr),
    ("fremovexattr", libc::SYS_fremovexattr),
    ("ioctl", libc::SYS_ioctl),
    ("mount", libc::SYS_mount),
    ("umount2", libc::SYS_umount2),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("move_mount", libc::SYS_move_mount),
    ("open_tree", libc::SYS_open_tree),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("fchmodat2", 452),
    // Calls that newer architectures leave out.
    #[cfg(target_arch = "x86_64")]
    ("open", libc::SYS_open),
    #[cfg(target_arch = "x86_64")]
    ("creat", libc::SYS_creat),
    #[cfg(target_arch = "x86_64")]
    ("rename", libc::SYS_rename),
    #[cfg(target_arch = "x86_64")]
    ("unlink", libc::SYS_unlink),
    #[cfg(target_arch = "x86_64")]
    ("rmdir", libc::SYS_rmdir),
    #[cfg(target_arch = "x86_64")]
    ("mkdir", libc::SYS_mkdir),
    #[cfg(target_arch = "x86_64")]
    ("link", libc::SYS_link),
    #[cfg(target_arch = "x86_64")]
    ("symlink", libc::SYS_symlink),
    #[cfg(target_arch = "x86_64")]
    ("mknod", libc::SYS_mknod),
    #[cfg(target_arch = "x86_64")]
    ("chmod", libc::SYS_chmod),
    #[cfg(target_arch = "x86_64")]
    ("chown", libc::SYS_chown),
    #[cfg(target_arch = "x86_64")]
    ("lchown", libc::SYS_lchown),
];

/// Calls by which processes come, go, and end others. What is not among them, as starting a program
/// and handing over a descriptor, is how a [`Watch`] comes to be.
pub const LIVING: Table = &[
    ("clone3", libc::SYS_clone3),
    ("setns", libc::SYS_setns),
    ("unshare", libc::SYS_unshare),
    ("sendto", libc::SYS_sendto),
    ("kill", libc::SYS_kill),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("waitid", libc::SYS_waitid),
    ("exit_group", libc::SYS_exit_group),
];

/// Calls that read files and folders; opening them is among [`CHANGING`].
pub const READING: Table = &[
    ("read", libc::SYS_read),
    ("readv", libc::SYS_readv),
    ("pread64", libc::SYS_pread64),
    ("preadv", libc::SYS_preadv),
    ("preadv2", libc::SYS_preadv2),
    ("getdents64", libc::SYS_getdents64),
];

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Runs `touch FILE`, answers its calls, and says which there were and how it ended.
    fn touch(file: &std::path::Path, deny: Option<i32>) -> Option<(Vec<&'static str>, bool)> {
        let mut command = Command::new("/usr/bin/touch");
        let spawned = spawn(command.arg(file).stderr(std::process::Stdio::null()), &[CHANGING]);
        let (mut child, watch) = match spawned {
            // In a box that forbids filters there is nothing to try.
            Err(error) if error.raw_os_error().is_some() => return None,
            other => other.unwrap(),
        };
        let mut names = Vec::new();
        loop {
            match watch.next(PATIENCE).unwrap() {
                Seen::End => return Some((names, child.wait().unwrap().success())),
                Seen::Silence => panic!("nothing happens"),
                Seen::Call(call) => {
                    let creates = call.arguments[2] & libc::O_CREAT as u64 != 0;
                    match deny.filter(|_| call.name == "openat" && creates) {
                        Some(errno) => watch.fail(&call, errno).unwrap(),
                        None => watch.allow(&call).unwrap(),
                    }
                    names.push(call.name);
                }
            }
        }
    }

    #[test]
    fn calls_are_seen_and_can_fail() {
        let folder = std::env::temp_dir().join(format!("mica-trace-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("touched");
        let Some((names, well)) = touch(&file, Some(libc::ENOSPC)) else {
            return println!("skipped: seccomp filters cannot be made here");
        };
        assert!(names.contains(&"openat") && !well && !file.exists(), "{names:?}");
        let (_, well) = touch(&file, None).unwrap();
        assert!(well && file.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
