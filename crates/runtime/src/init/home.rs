//! Where a user's files are, as the container's own accounts say.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;

use rustix::fs::{FileType, Mode, OFlags};

const ACCOUNTS: &str = "/etc/passwd";
/// More is not read: the file is the image's, and may be anything.
const MOST: u64 = 1 << 20;

/// The variable `HOME` of a user: `/` where no account says it. To be asked inside the root and as
/// the program's own user, who learns nothing from a file that is not meant for it.
pub(super) fn variable(user: u32) -> CString {
    let home = read().and_then(|text| folder(&text, user)).unwrap_or_else(|| "/".to_owned());
    CString::new(format!("HOME={home}")).unwrap_or_default()
}

fn read() -> Option<String> {
    // What waits for somebody to write, or is a terminal, is not waited for and not taken.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(ACCOUNTS, flags, Mode::empty()).ok()?;
    let mode = rustix::fs::fstat(&file).ok()?.st_mode;
    if FileType::from_raw_mode(mode) != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    File::from(file).take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The folder that the first account of a number has.
fn folder(accounts: &str, user: u32) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let number = fields.nth(2)?.parse::<u32>();
        let folder = fields.nth(2).filter(|folder| !folder.is_empty() && !folder.contains('\0'));
        (number == Ok(user)).then(|| folder.unwrap_or("/").to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_account_of_a_number_has_a_folder() {
        let accounts = "#note\nroot:x:0:0:me:/root:/bin/sh\nbroken:x\nw:x:33:34::/srv:\n\
                        v:x:33:34::/other:\nempty:x:7:7:::\nlast:x:9:9::/end";
        for (user, home) in
            [(0, Some("/root")), (33, Some("/srv")), (7, Some("/")), (9, Some("/end")), (1, None)]
        {
            assert_eq!(folder(accounts, user).as_deref(), home, "{user}");
        }
    }
}
