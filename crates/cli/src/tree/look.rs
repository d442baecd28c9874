//! What can be done with an image without a container, beyond docker.

use super::{Cmd, FORMAT_JSON, FORMAT_ROWS};
use crate::args::{Arity, Command, Complete, Flag};
use crate::commands as run;

pub(super) static MOUNT: Cmd = Command {
    name: "mount",
    usage: "[OPTIONS] [IMAGE...]",
    about: "Mount images for reading and print where, or list what is mounted",
    examples: "  ls $(mica image mount debian:12)/etc",
    args: Arity::Any,
    flags: &[&[FORMAT_ROWS]],
    complete: &[Complete::Images],
    action: Some(run::mount::mount),
    ..Command::BLANK
};

pub(super) static UNMOUNT: Cmd = Command {
    name: "unmount",
    aliases: &["umount"],
    usage: "[OPTIONS] [IMAGE...]",
    about: "Unmount images",
    examples: "  mica image unmount debian:12\n  mica image unmount --all",
    args: Arity::Any,
    flags: &[&[
        Flag::bool("all", "Unmount all of them").short('a'),
        Flag::bool("force", "Unmount even if it was mounted several times").short('f'),
        FORMAT_JSON,
    ]],
    complete: &[Complete::Images],
    action: Some(run::mount::unmount),
    ..Command::BLANK
};

pub(super) static DIFF: Cmd = Command {
    name: "diff",
    usage: "[OPTIONS] IMAGE IMAGE",
    about: "Show which files and settings differ between two images",
    examples: "  mica image diff app:1.0 app:1.1\n  mica image diff --format json app:1.0 app:1.1",
    args: Arity::Exact(2),
    flags: &[&[FORMAT_JSON]],
    complete: &[Complete::Images],
    action: Some(run::look::diff),
    ..Command::BLANK
};

pub(super) static WHY: Cmd = Command {
    name: "why",
    usage: "[OPTIONS] IMAGE PATH",
    about: "Show which layer and which instruction brought a file",
    examples: "  mica image why app:1.0 /usr/bin/python3",
    args: Arity::Exact(2),
    flags: &[&[FORMAT_ROWS]],
    complete: &[Complete::Images, Complete::Nothing],
    action: Some(run::look::why),
    ..Command::BLANK
};

pub(super) static FILES: Cmd = Command {
    name: "files",
    usage: "[OPTIONS] IMAGE [PATH]",
    about: "List the files of an image without mounting it",
    examples: "  mica image files debian:12\n  mica image files --format json app:1.0",
    args: Arity::Range(1, 2),
    flags: &[&[FORMAT_ROWS, Flag::bool("quiet", "Only show paths").short('q')]],
    complete: &[Complete::Images, Complete::Nothing],
    action: Some(run::look::files),
    ..Command::BLANK
};

pub(super) static TREE: Cmd = Command {
    name: "tree",
    usage: "[OPTIONS]",
    about: "Show which layers images share, with sizes",
    examples: "  mica image tree\n  mica image tree --format json",
    args: Arity::None,
    flags: &[&[FORMAT_JSON]],
    action: Some(run::look::tree),
    ..Command::BLANK
};
