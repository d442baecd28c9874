//! Reads just enough of an ELF file to say whether it stands alone.

use crate::Result;

/// How a program file is linked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Linking {
    /// The kernel starts another program, the dynamic loader, before this one.
    pub(crate) needs_interpreter: bool,
    /// The file may be placed anywhere and relocates itself when it starts.
    pub(crate) relocates_itself: bool,
}

const INTERPRETER: u32 = 3;
const SHARED_OBJECT: u16 = 3;

/// Reads the headers of a 64-bit little-endian ELF file.
pub(crate) fn linking(file: &[u8]) -> Result<Linking> {
    if file.get(..6) != Some(b"\x7fELF\x02\x01".as_slice()) {
        return Err("not a 64-bit little-endian ELF file".into());
    }
    let headers_at = usize::try_from(number::<8>(file, 32)?)?;
    let header_size = usize::try_from(number::<2>(file, 54)?)?;
    let count = usize::try_from(number::<2>(file, 56)?)?;
    let mut needs_interpreter = false;
    for index in 0..count {
        let kind = number::<4>(file, headers_at + index * header_size)?;
        needs_interpreter |= kind == u64::from(INTERPRETER);
    }
    let relocates_itself = number::<2>(file, 16)? == u64::from(SHARED_OBJECT);
    Ok(Linking { needs_interpreter, relocates_itself })
}

fn number<const SIZE: usize>(file: &[u8], at: usize) -> Result<u64> {
    let bytes = file.get(at..at + SIZE).ok_or("the ELF file ends within a header")?;
    Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kind: u8, program_header: u8) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[16] = kind;
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64] = program_header;
        file
    }

    #[test]
    fn tells_static_from_dynamic() {
        let alone = Linking { needs_interpreter: false, relocates_itself: false };
        assert_eq!(linking(&elf(2, 1)).expect("well formed"), alone);
        let dynamic = Linking { needs_interpreter: true, relocates_itself: true };
        assert_eq!(linking(&elf(3, 3)).expect("well formed"), dynamic);
    }

    #[test]
    fn refuses_what_is_cut_short() {
        assert!(linking(b"#!/bin/sh\n").is_err());
        assert!(linking(&elf(2, 1)[..60]).is_err());
        assert!(linking(&elf(2, 1)[..64]).is_err());
    }
}
