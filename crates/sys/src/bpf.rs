//! Programs that the kernel asks before a device is used or made by who is in a group.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// One instruction, as the kernel lays it out.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// What is done.
    pub code: u8,
    /// With which registers: the target in the lower half, the source in the upper.
    pub registers: u8,
    /// How far a jump goes, or where in memory a word lies.
    pub offset: i16,
    /// With which number.
    pub value: i32,
}

/// What a program is asked about: `BPF_PROG_TYPE_CGROUP_DEVICE` and `BPF_CGROUP_DEVICE`.
const PROGRAM_TYPE: u32 = 15;
const ATTACH_TYPE: u32 = 6;
/// Groups below may have programs of their own.
const ALLOW_MULTI: u32 = 2;

const LOAD: libc::c_int = 5;
const ATTACH: libc::c_int = 8;
const DETACH: libc::c_int = 9;
const DESCRIPTOR_OF_ID: libc::c_int = 13;
const QUERY: libc::c_int = 16;

/// Loads a program over devices.
pub fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        program_type: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
    }
    let attributes = Attributes {
        program_type: PROGRAM_TYPE,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: c"".as_ptr() as u64,
        ..Attributes::default()
    };
    descriptor(call(LOAD, &attributes)?)
}

/// What a call about a group's programs is given.
#[repr(C)]
#[derive(Default)]
struct Attaching {
    group: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

/// Lets a program decide for a group of version 2, with those that decide already.
pub fn attach(group: impl AsFd, program: impl AsFd) -> io::Result<()> {
    let (group, program) = (number(&group)?, number(&program)?);
    let flags = ALLOW_MULTI;
    let attributes =
        Attaching { group, program, attach_type: ATTACH_TYPE, flags, ..Attaching::default() };
    call(ATTACH, &attributes).map(drop)
}

/// Lets a program decide for a group no more.
pub fn detach(group: impl AsFd, program: impl AsFd) -> io::Result<()> {
    let (group, program) = (number(&group)?, number(&program)?);
    let attributes = Attaching { group, program, attach_type: ATTACH_TYPE, ..Attaching::default() };
    call(DETACH, &attributes).map(drop)
}

/// The programs that decide for a group itself, those of groups above left out.
pub fn attached(group: impl AsFd) -> io::Result<Vec<OwnedFd>> {
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        group: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        ids: u64,
        count: u32,
        _padding: u32,
    }
    let mut ids = [0u32; 64];
    let mut attributes = Attributes {
        group: number(&group)?,
        attach_type: ATTACH_TYPE,
        ids: ids.as_mut_ptr() as u64,
        count: ids.len() as u32,
        ..Attributes::default()
    };
    call_mut(QUERY, &mut attributes)?;
    let count = usize::try_from(attributes.count).unwrap_or(0).min(ids.len());
    ids[..count].iter().map(|id| descriptor(call(DESCRIPTOR_OF_ID, &[*id, 0, 0])?)).collect()
}

fn number(file: &impl AsFd) -> io::Result<u32> {
    u32::try_from(file.as_fd().as_raw_fd()).map_err(io::Error::other)
}

fn descriptor(number: libc::c_long) -> io::Result<OwnedFd> {
    let number = RawFd::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn call<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: `attributes` is a live value of the size that is told, and what it points at outlives
    // the call; these commands write nothing back.
    unsafe { raw(command, std::ptr::from_ref(attributes).cast(), size_of::<T>()) }
}

fn call_mut<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: as above; the kernel writes into `attributes`, which is made of integers, and into the
    // list that it points at, no further than its length.
    unsafe { raw(command, std::ptr::from_mut(attributes).cast(), size_of::<T>()) }
}

/// # Safety
///
/// `attributes` points at `size` bytes that mean what `command` takes.
unsafe fn raw(
    command: libc::c_int,
    attributes: *const libc::c_void,
    size: usize,
) -> io::Result<libc::c_long> {
    // SAFETY: what the caller promises is what the kernel asks for.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
