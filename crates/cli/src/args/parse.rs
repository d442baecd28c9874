//! From the words of a command line to the command they call.

use super::error::{Place, UsageError, unknown_topic};
use super::flag::HELP;
use super::quote::{quote, quote_char};
use super::value::accept;
use super::{Command, Flag, Matches};

/// What a command line asks for.
#[derive(Debug, Clone)]
pub enum Parsed<A: 'static> {
    /// A help page.
    Help {
        /// The commands from the root to the one that the page is about.
        path: Vec<&'static Command<A>>,
        /// Whether it was asked for. If not, a group was called without a command: the page then
        /// goes to standard error. The exit code is 0 either way.
        asked: bool,
        /// Lines for standard error: flags out of use.
        warnings: Vec<String>,
    },
    /// The program's version, from the root's flag `--version`.
    Version,
    /// A command to run.
    Run(Invocation<A>),
}

/// A command to run, with what was given to it.
#[derive(Debug, Clone)]
pub struct Invocation<A: 'static> {
    /// The commands from the root to the one called.
    pub path: Vec<&'static Command<A>>,
    /// What the command does.
    pub action: A,
    /// The flags before the command.
    pub globals: Matches,
    /// The flags and positionals of the command.
    pub matches: Matches,
    /// Lines for standard error: flags out of use.
    pub warnings: Vec<String>,
}

/// Reads `args`, the words after the program's name.
///
/// `program` is the name that messages show.
pub fn parse<A: Copy>(
    root: &'static Command<A>,
    program: &str,
    args: &[String],
) -> Result<Parsed<A>, UsageError> {
    let mut walk = Walk {
        program,
        words: args.iter(),
        command: root,
        path: vec![root],
        globals: Matches::default(),
        matches: Matches::new(root.flags),
        divided: false,
        help: false,
        topic: false,
        warnings: Vec::new(),
    };
    walk.read_words()?;
    walk.finish()
}

struct Walk<'a, A: 'static> {
    program: &'a str,
    words: std::slice::Iter<'a, String>,
    /// The last of `path`.
    command: &'static Command<A>,
    path: Vec<&'static Command<A>>,
    globals: Matches,
    matches: Matches,
    /// Whether `--` was met.
    divided: bool,
    /// Whether `--help` was given on the way.
    help: bool,
    /// Whether the command is `help`.
    topic: bool,
    warnings: Vec<String>,
}

impl<A: Copy> Walk<'_, A> {
    fn read_words(&mut self) -> Result<(), UsageError> {
        while let Some(word) = self.words.next() {
            if word == "--" {
                self.end_flags();
            } else if let Some(long) = word.strip_prefix("--") {
                self.read_long(long)?;
            } else if let Some(letters) = word.strip_prefix('-').filter(|word| !word.is_empty()) {
                self.read_letters(letters)?;
            } else {
                self.read_positional(word);
            }
        }
        Ok(())
    }

    /// After `--` only positionals follow; the first one before a command means nothing.
    fn end_flags(&mut self) {
        let is_idle = self.at_root() && !self.divided && self.matches.positionals().is_empty();
        self.divided = true;
        if !is_idle {
            self.take_rest();
        }
    }

    fn take_rest(&mut self) {
        for word in self.words.by_ref() {
            self.matches.push(word);
        }
    }

    /// A word that is no flag: the next command on the way, or a positional.
    fn read_positional(&mut self, word: &str) {
        let may_call = self.matches.positionals().is_empty() && !self.command.sub.is_empty();
        if may_call && let Some(command) = self.command.find(word).filter(|own| self.is_meant(own))
        {
            return self.enter(command);
        }
        if may_call && self.at_root() && word == "help" {
            self.topic = true;
            return self.enter(Command::HELP);
        }
        self.matches.push(word);
        if !self.command.interspersed {
            self.take_rest();
        }
    }

    /// Whether a word is a command and not an argument: a command that does something itself has
    /// only groups below it, and one is meant where its own command follows.
    fn is_meant(&self, command: &Command<A>) -> bool {
        let next = || self.words.clone().next();
        self.command.action.is_none() || next().is_some_and(|word| command.find(word).is_some())
    }

    fn enter(&mut self, command: &'static Command<A>) {
        let matches = std::mem::replace(&mut self.matches, Matches::new(command.flags));
        if self.at_root() {
            self.globals = matches;
        }
        self.command = command;
        self.path.push(command);
    }

    fn at_root(&self) -> bool {
        self.path.len() == 1
    }

    fn read_long(&mut self, word: &str) -> Result<(), UsageError> {
        if word.starts_with(['-', '=']) {
            return Err(self.flag_error(&format!("bad flag syntax: --{word}")));
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let Some(flag) = self.flag_named(name) else {
            return Err(self.flag_error(&format!("unknown flag: --{name}")));
        };
        if let Some(value) = value.or(flag.bare_value()) {
            return self.set(flag, value);
        }
        match self.words.next() {
            Some(value) => self.set(flag, value),
            None => Err(self.flag_error(&format!("flag needs an argument: --{name}"))),
        }
    }

    /// Letters after one dash: flags, up to the first that takes the rest as its value.
    fn read_letters(&mut self, letters: &str) -> Result<(), UsageError> {
        let mut rest = letters;
        while let Some(letter) = rest.chars().next() {
            rest = self.read_letter(letter, rest)?;
        }
        Ok(())
    }

    /// Reads the flag `letter` at the start of `letters`, and says what is left of them.
    fn read_letter<'w>(&mut self, letter: char, letters: &'w str) -> Result<&'w str, UsageError> {
        let Some(flag) = self.flag_lettered(letter) else {
            let letter = first_byte(letters);
            return Err(self.flag_error(&format!("unknown shorthand flag: {letter} in -{letters}")));
        };
        let tail = &letters[letter.len_utf8()..];
        match tail.strip_prefix('=') {
            Some(value) if !value.is_empty() => return self.set(flag, value).map(|()| ""),
            _ => {}
        }
        if let Some(value) = flag.bare_value() {
            return self.set(flag, value).map(|()| tail);
        }
        if !tail.is_empty() {
            return self.set(flag, tail).map(|()| "");
        }
        match self.words.next() {
            Some(value) => self.set(flag, value).map(|()| ""),
            None => {
                let letter = first_byte(letters);
                Err(self.flag_error(&format!("flag needs an argument: {letter} in -{letters}")))
            }
        }
    }

    fn flag_named(&self, name: &str) -> Option<&'static Flag> {
        if name == HELP.name {
            return Some(&HELP);
        }
        self.command.all_flags().find(|flag| flag.name == name)
    }

    fn flag_lettered(&mut self, letter: char) -> Option<&'static Flag> {
        let own = self.command.all_flags().find(|flag| flag.short == Some(letter));
        if own.is_none() && HELP.short == Some(letter) {
            self.warnings.push("Flag shorthand -h has been deprecated, use --help".to_owned());
            return Some(&HELP);
        }
        own
    }

    fn set(&mut self, flag: &'static Flag, text: &str) -> Result<(), UsageError> {
        let values = accept(flag, text).map_err(|why| {
            let (text, names) = (quote(text), quote(&flag.names()));
            self.flag_error(&format!("invalid argument {text} for {names} flag: {why}"))
        })?;
        if let Some(advice) = flag.deprecated {
            self.warnings.push(format!("Flag --{} has been deprecated, {advice}", flag.name));
        }
        if flag.name == HELP.name {
            self.help = values.iter().any(|value| value == "true");
        } else {
            self.matches.put(flag, values);
        }
        Ok(())
    }

    fn place(&self) -> Place<'_, A> {
        Place { program: self.program, path: &self.path }
    }

    fn flag_error(&self, mistake: &str) -> UsageError {
        self.place().flag_error(mistake)
    }

    /// All words are read: what do they ask for?
    fn finish(mut self) -> Result<Parsed<A>, UsageError> {
        if self.help {
            return Ok(self.help_page(true));
        }
        if self.topic {
            return self.open_topic();
        }
        if !self.command.sub.is_empty() && self.command.action.is_none() {
            return self.finish_group();
        }
        if !self.command.args.accepts(self.matches.positionals().len()) {
            return Err(self.place().arity_error(self.command));
        }
        match self.command.action {
            Some(action) => Ok(Parsed::Run(Invocation {
                path: self.path,
                action,
                globals: self.globals,
                matches: self.matches,
                warnings: self.warnings,
            })),
            None => Ok(self.help_page(false)),
        }
    }

    /// A group was called, not one of its commands.
    fn finish_group(mut self) -> Result<Parsed<A>, UsageError> {
        let versioned = self.at_root() && self.flag_named("version").is_some();
        if versioned && self.matches.flag("version") {
            return Ok(Parsed::Version);
        }
        match self.matches.positionals().first() {
            Some(word) => Err(self.place().unknown_command(self.command, word)),
            None => Ok(self.help_page(false)),
        }
    }

    /// `help image ls` is the page of `image ls`.
    fn open_topic(mut self) -> Result<Parsed<A>, UsageError> {
        self.path.pop();
        for word in self.matches.positionals() {
            let command = self.path.last().and_then(|command| command.find(word));
            self.path.push(command.ok_or_else(|| unknown_topic(word))?);
        }
        Ok(self.help_page(true))
    }

    fn help_page(&mut self, asked: bool) -> Parsed<A> {
        let (path, warnings) = (&mut self.path, &mut self.warnings);
        Parsed::Help { path: std::mem::take(path), asked, warnings: std::mem::take(warnings) }
    }
}

/// How messages show the letter that `letters` start with: docker looks at bytes.
fn first_byte(letters: &str) -> String {
    quote_char(letters.bytes().next().map_or(' ', char::from))
}
