//! Processors as filters see them.

use super::numbers::CALLS;

/// A processor that programs are made for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 32-bit pointers on 64-bit x86.
    X32,
    /// 64-bit arm.
    Aarch64,
    /// 32-bit arm.
    Arm,
}

/// Those that the specification knows besides, without what all their names begin with.
const OTHERS: &str = "MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE \
    S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB";

/// All names that profiles may have, in order.
pub(super) fn known_names() -> Vec<String> {
    let own = Arch::ALL.map(|arch| arch.name().to_owned());
    let others = OTHERS.split_whitespace().map(|name| format!("SCMP_ARCH_{name}"));
    let mut names: Vec<_> = own.into_iter().chain(others).collect();
    names.sort_unstable();
    names
}

impl Arch {
    const ALL: [Arch; 5] = [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm];

    /// This machine's.
    pub(super) fn host() -> Option<Arch> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Arch::X86_64),
            "aarch64" => Some(Arch::Aarch64),
            _ => None,
        }
    }

    /// Whether the specification knows a name of a processor; whether we do is another question.
    pub(super) fn is_known(name: &str) -> bool {
        let is_other = |name: &str| OTHERS.split_whitespace().any(|other| other == name);
        Arch::parse(name).is_some() || name.strip_prefix("SCMP_ARCH_").is_some_and(is_other)
    }

    /// The one that a profile names.
    pub(super) fn parse(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// Its name in profiles.
    pub(super) fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "SCMP_ARCH_X86_64",
            Arch::X86 => "SCMP_ARCH_X86",
            Arch::X32 => "SCMP_ARCH_X32",
            Arch::Aarch64 => "SCMP_ARCH_AARCH64",
            Arch::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// Its name in Go.
    pub(super) fn go_name(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::X86 => "x86",
            Arch::X32 => "x32",
            Arch::Aarch64 => "arm64",
            Arch::Arm => "arm",
        }
    }

    /// Its number in the kernel's audit. x32 has the same as x86-64; its calls' numbers differ.
    pub(super) fn audit(self) -> u32 {
        match self {
            Arch::X86_64 | Arch::X32 => 0xc000_003e,
            Arch::X86 => 0x4000_0003,
            Arch::Aarch64 => 0xc000_00b7,
            Arch::Arm => 0x4000_0028,
        }
    }

    /// The number of a call.
    pub(super) fn number(self, name: &str) -> Option<u32> {
        let place = CALLS.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
        Some(CALLS[place].1[self as usize]).filter(|number| *number != u32::MAX)
    }
}
