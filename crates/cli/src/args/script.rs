//! The scripts that teach a shell to complete the program's command line.
//!
//! They hold no knowledge of commands: they ask `PROGRAM __complete -- WORDS…`, whose output is a
//! [`Completion`](super::Completion).

/// A shell that completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// bash 4 or newer.
    Bash,
    /// zsh with its completion system loaded.
    Zsh,
    /// fish.
    Fish,
    /// PowerShell 5 or newer.
    PowerShell,
}

/// The script for `shell`, which calls `program` by this name.
pub fn completion_script(shell: Shell, program: &str) -> String {
    let template = match shell {
        Shell::Bash => include_str!("script.bash"),
        Shell::Zsh => include_str!("script.zsh"),
        Shell::Fish => include_str!("script.fish"),
        Shell::PowerShell => include_str!("script.ps1"),
    };
    let is_plain = |letter: char| letter.is_ascii_alphanumeric();
    let function = program.replace(|letter| !is_plain(letter), "_");
    template.replace("FUNCTION", &function).replace("PROGRAM", program)
}
