//! The scripts that complete words in a shell, and what they call.

use super::Cmd;
use crate::args::{Arity, Command, Flag};
use crate::commands as run;

pub(super) static COMPLETION: Cmd = Command {
    name: "completion",
    usage: "COMMAND",
    about: "Print the script that completes mica's command line in a shell",
    sub: &[&BASH, &FISH, &POWERSHELL, &ZSH],
    ..Command::BLANK
};
const NO_DESCRIPTIONS: Flag = Flag::bool("no-descriptions", "disable completion descriptions");

static BASH: Cmd = Command {
    name: "bash",
    usage: "[OPTIONS]",
    about: "For bash",
    examples: "  source <(mica completion bash)",
    args: Arity::None,
    flags: &[&[NO_DESCRIPTIONS]],
    action: Some(run::completion::bash),
    ..Command::BLANK
};

static FISH: Cmd = Command {
    name: "fish",
    usage: "[OPTIONS]",
    about: "For fish",
    examples: "  mica completion fish | source",
    args: Arity::None,
    flags: &[&[NO_DESCRIPTIONS]],
    action: Some(run::completion::fish),
    ..Command::BLANK
};

static POWERSHELL: Cmd = Command {
    name: "powershell",
    usage: "[OPTIONS]",
    about: "For PowerShell",
    examples: "  mica completion powershell | Out-String | Invoke-Expression",
    args: Arity::None,
    flags: &[&[NO_DESCRIPTIONS]],
    action: Some(run::completion::powershell),
    ..Command::BLANK
};

static ZSH: Cmd = Command {
    name: "zsh",
    usage: "[OPTIONS]",
    about: "For zsh",
    examples: "  source <(mica completion zsh)",
    args: Arity::None,
    flags: &[&[NO_DESCRIPTIONS]],
    action: Some(run::completion::zsh),
    ..Command::BLANK
};

pub(super) static COMPLETE: Cmd = Command {
    name: "__complete",
    usage: "WORDS...",
    about: "Answer a shell that completes a command line",
    hidden: true,
    interspersed: false,
    args: Arity::Any,
    action: Some(run::completion::callback),
    ..Command::BLANK
};
pub(super) static COMPLETE_TERSELY: Cmd =
    Command { name: "__completeNoDesc", action: Some(run::completion::terse_callback), ..COMPLETE };
