//! A command as a row of a `static` table, and how many positionals it takes.

use super::{Complete, Flag};

/// One command: a leaf that does something, or a group of further commands.
///
/// `A` is what a leaf does, chosen by the caller: usually a function pointer. Rows are written
/// `Command { name: "tag", …, ..Command::BLANK }`, so that a row names only what it needs.
#[derive(Debug, Clone, Copy)]
pub struct Command<A: 'static> {
    /// The word that calls it. The root's own name is never shown: the program's is.
    pub name: &'static str,
    /// Other words that call it in the same place, as `list` does for `ls`.
    pub aliases: &'static [&'static str],
    /// All full names without the program's, as the help page lists them: `["image ls", "images"]`.
    ///
    /// When empty, the page lists the name and `aliases` in their own group.
    pub also: &'static [&'static str],
    /// What follows the name in a usage line; every further line is another way to call it.
    pub usage: &'static str,
    /// One line for lists of commands, and for the help page when `long` is empty.
    pub about: &'static str,
    /// The description on the help page.
    pub long: &'static str,
    /// Examples for the help page, indented as they shall stand there.
    pub examples: &'static str,
    /// The last paragraph of the help page.
    pub footer: &'static str,
    /// How many positionals it takes.
    pub args: Arity,
    /// Its flags, in sets, so that commands can share a set. The root's are the global flags.
    pub flags: &'static [&'static [Flag]],
    /// Whether flags may stand after the first positional.
    pub interspersed: bool,
    /// Whether lists, suggestions and completion leave it out.
    pub hidden: bool,
    /// Whether the list of commands shows it first, under "Common Commands", in table order.
    pub common: bool,
    /// The commands of a group.
    pub sub: &'static [&'static Command<A>],
    /// What each positional names; the last entry stands for all that follow.
    pub complete: &'static [Complete],
    /// What a leaf does; a group has none.
    pub action: Option<A>,
}

impl<A: Copy> Command<A> {
    /// A command with nothing set, for the end of a row.
    pub const BLANK: Command<A> = Command {
        name: "",
        aliases: &[],
        also: &[],
        usage: "",
        about: "",
        long: "",
        examples: "",
        footer: "",
        args: Arity::None,
        flags: &[],
        interspersed: true,
        hidden: false,
        common: false,
        sub: &[],
        complete: &[],
        action: None,
    };

    /// `help [command]`, which every root understands without naming it.
    pub(super) const HELP: &'static Command<A> = &Command {
        name: "help",
        usage: "[command]",
        about: "Help about the command",
        args: Arity::Any,
        ..Command::BLANK
    };

    /// All its flags, in table order.
    pub fn all_flags(&self) -> impl Iterator<Item = &'static Flag> + use<A> {
        self.flags.iter().copied().flatten()
    }

    /// The command of this group that `word` calls.
    pub fn find(&self, word: &str) -> Option<&'static Command<A>> {
        self.sub.iter().copied().find(|sub| sub.answers_to(word))
    }

    /// Whether `word` is its name or one of its aliases.
    pub(super) fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }
}

/// How many positionals a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Not one.
    None,
    /// This many.
    Exact(usize),
    /// This many or more.
    AtLeast(usize),
    /// This many or fewer.
    AtMost(usize),
    /// From the first number to the second, both included.
    Range(usize, usize),
    /// Any number.
    Any,
}

impl Arity {
    /// Whether `count` positionals are right.
    pub fn accepts(self, count: usize) -> bool {
        match self {
            Arity::None => count == 0,
            Arity::Exact(wanted) => count == wanted,
            Arity::AtLeast(least) => count >= least,
            Arity::AtMost(most) => count <= most,
            Arity::Range(least, most) => (least..=most).contains(&count),
            Arity::Any => true,
        }
    }

    /// Whether a further positional may follow `count` of them.
    pub(super) fn has_room(self, count: usize) -> bool {
        match self {
            Arity::None => false,
            Arity::Exact(most) | Arity::AtMost(most) | Arity::Range(_, most) => count < most,
            Arity::AtLeast(_) | Arity::Any => true,
        }
    }

    /// What it wants, in docker's words.
    pub(super) fn demand(self) -> String {
        let arguments = |count: usize| if count == 1 { "argument" } else { "arguments" };
        match self {
            Arity::None => "accepts no arguments".to_owned(),
            Arity::Exact(wanted) => format!("requires {wanted} {}", arguments(wanted)),
            Arity::AtLeast(least) => format!("requires at least {least} {}", arguments(least)),
            Arity::AtMost(most) => format!("requires at most {most} {}", arguments(most)),
            Arity::Range(least, most) => {
                format!("requires at least {least} and at most {most} {}", arguments(most))
            }
            Arity::Any => "accepts any arguments".to_owned(),
        }
    }
}
