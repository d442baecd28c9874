//! This process's own memory.

use std::ffi::{c_int, c_void};

/// Lets go of the pages of this program's code and constants that this process has touched: they
/// are the file's, nobody has changed them, and one that is needed again is there at the next touch.
/// For one that waits for long.
pub fn let_go_of_program() {
    // SAFETY: the function is called before this one returns, with what the loader knows.
    unsafe { libc::dl_iterate_phdr(Some(let_go_of), std::ptr::null_mut()) };
}

/// Lets go of one object's parts that cannot be written to. The first object is the program; its
/// answer ends the walk, since libraries are others' too.
unsafe extern "C" fn let_go_of(
    object: *mut libc::dl_phdr_info,
    _: libc::size_t,
    _: *mut c_void,
) -> c_int {
    // SAFETY: the loader hands over a live description of an object, and it and its list of headers
    // stay for as long as the object is loaded.
    let (base, headers) = unsafe {
        let object = &*object;
        (object.dlpi_addr, std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()))
    };
    // SAFETY: the call takes a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    for header in headers {
        // What is written to once and then protected lies in parts that are loaded for writing.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        #[allow(clippy::useless_conversion)] // The types differ between processors.
        let start = u64::from(base + header.p_vaddr);
        let from = start & !(page - 1);
        let length = (start - from) + header.p_memsz;
        // SAFETY: these pages show a file that this process may only read there: what is dropped is
        // read from it again, byte for byte.
        unsafe { libc::madvise(from as *mut c_void, length as usize, libc::MADV_DONTNEED) };
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_goes_on_with_less_of_itself() {
        // The part of this program that has its code, and how much of it is here. The sums in
        // `status` lag behind.
        let program = std::env::current_exe().unwrap().display().to_string();
        let code = || -> (u64, u64, u64) {
            let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let mut lines = text.lines();
            let head = lines.find(|line| line.ends_with(&program) && line.contains(" r-xp "));
            let (from, rest) = head.unwrap().split_once('-').unwrap();
            let to = rest.split(' ').next().unwrap();
            let resident = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
            (address(from), address(to), resident)
        };
        let (from, to, _) = code();
        for page in (from..to).step_by(4096) {
            // SAFETY: code may be read, and stays where it is.
            unsafe { std::ptr::read_volatile(page as *const u8) };
        }
        let (_, _, before) = code();
        let_go_of_program();
        let (_, _, after) = code();
        assert!(after < before, "{after} kB after {before} kB");
        // Code and constants that were not touched since.
        assert_eq!(format!("{:?}", std::time::Duration::from_millis(1500)), "1.5s");
    }
}
