//! What may come next on a command line that is being typed.

use std::fmt;

use super::flag::HELP;
use super::{Command, Flag};

/// What a positional or the value of a flag names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complete {
    /// Nothing that could be listed.
    Nothing,
    /// Files and folders.
    Files,
    /// Folders.
    Folders,
    /// Images.
    Images,
    /// Containers in any state.
    Containers,
    /// Containers that run.
    Running,
    /// Volumes.
    Volumes,
    /// Networks.
    Networks,
    /// A path here or, after `CONTAINER:`, in a container.
    ContainerPath,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// A word that may come next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The whole word.
    pub text: String,
    /// What it means; may be empty.
    pub about: &'static str,
}

/// Which file names the shell shall offer too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileNames {
    /// None.
    #[default]
    None,
    /// Files and folders.
    All,
    /// Folders.
    Folders,
}

/// All that may come next.
///
/// Its `Display` is what the scripts of [`completion_script`](super::completion_script) read: a
/// line for each candidate, and a last one, after a colon, that says what the shell shall do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// The words, each once, in the order of the tables.
    pub candidates: Vec<Candidate>,
    /// Which file names the shell adds.
    pub files: FileNames,
    /// Whether the word goes on after the candidate, so that no blank may follow.
    pub no_space: bool,
}

impl fmt::Display for Completion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for candidate in &self.candidates {
            writeln!(out, "{}\t{}", candidate.text, candidate.about)?;
        }
        let files = match self.files {
            FileNames::None => "",
            FileNames::All => "files",
            FileNames::Folders => "folders",
        };
        writeln!(out, ":{files}{}", if self.no_space { " nospace" } else { "" })
    }
}

/// What may stand in place of the last of `words`, the words after the program's name.
///
/// `names` lists images, containers, volumes and networks; it is asked only for what can stand
/// there. Words before the last may be wrong: they are passed over.
pub fn complete<A: Copy>(
    root: &'static Command<A>,
    words: &[String],
    names: &dyn Fn(Complete) -> Vec<String>,
) -> Completion {
    let Some((typed, before)) = words.split_last() else {
        return Completion::default();
    };
    let mut spot = Spot {
        root,
        command: root,
        positionals: Vec::new(),
        used: Vec::new(),
        waiting: None,
        flags_over: false,
        topic: false,
    };
    before.iter().for_each(|word| spot.pass(word));
    let mut offer = Offer { typed, names, completion: Completion::default() };
    spot.offer(&mut offer);
    offer.completion
}

/// Where the words before the cursor lead.
struct Spot<'a, A: 'static> {
    root: &'static Command<A>,
    command: &'static Command<A>,
    positionals: Vec<&'a str>,
    /// The flags already there.
    used: Vec<&'static str>,
    /// The flag whose value comes next.
    waiting: Option<&'static Flag>,
    flags_over: bool,
    /// Whether the command is `help`.
    topic: bool,
}

impl<'a, A: Copy> Spot<'a, A> {
    fn pass(&mut self, word: &'a str) {
        if self.waiting.take().is_some() {
            return;
        }
        if self.flags_over || word == "-" || !word.starts_with('-') {
            self.pass_positional(word);
        } else if word == "--" {
            self.flags_over = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
            let flag = self.command.all_flags().find(|flag| flag.name == name);
            self.used.extend(flag.map(|flag| flag.name));
            self.waiting = flag.filter(|flag| value.is_none() && flag.bare_value().is_none());
        } else {
            self.pass_letters(&word[1..]);
        }
    }

    fn pass_letters(&mut self, letters: &str) {
        for (at, letter) in letters.char_indices() {
            let flag = self.command.all_flags().find(|flag| flag.short == Some(letter));
            let Some(flag) = flag else { return };
            self.used.push(flag.name);
            if flag.bare_value().is_none() {
                let is_last = at + letter.len_utf8() == letters.len();
                self.waiting = is_last.then_some(flag);
                return;
            }
        }
    }

    fn pass_positional(&mut self, word: &'a str) {
        let next = self.command.find(word).filter(|_| self.positionals.is_empty());
        if let Some(command) = next {
            self.command = command;
            self.used.clear();
            self.flags_over = self.topic;
        } else if std::ptr::eq(self.command, self.root) && word == "help" && !self.topic {
            (self.topic, self.flags_over) = (true, true);
        } else {
            self.positionals.push(word);
            self.flags_over |= !self.command.interspersed;
        }
    }

    fn offer(&self, offer: &mut Offer<'_>) {
        let typed = offer.typed;
        let value = typed.strip_prefix("--").and_then(|long| long.split_once('='));
        if let Some(flag) = self.waiting {
            offer.values(flag.complete, "", &[]);
        } else if self.flags_over || !typed.starts_with('-') {
            self.offer_positional(offer);
        } else if let Some((name, _)) = value {
            let flag = self.command.all_flags().find(|flag| flag.name == name);
            if let Some(flag) = flag {
                offer.values(flag.complete, &typed[..name.len() + "--=".len()], &[]);
            }
        } else {
            self.offer_flags(offer);
        }
    }

    fn offer_positional(&self, offer: &mut Offer<'_>) {
        let count = self.positionals.len();
        if !self.command.sub.is_empty() && count == 0 {
            let shown = self.command.sub.iter().filter(|sub| !sub.hidden);
            shown.for_each(|sub| offer.add(sub.name.to_owned(), sub.about));
            if std::ptr::eq(self.command, self.root) && !self.topic {
                let help = Command::<A>::HELP;
                offer.add(help.name.to_owned(), help.about);
            }
        } else if !self.topic && self.command.args.has_room(count) {
            let kinds = self.command.complete;
            if let Some(what) = kinds.get(count).or(kinds.last()) {
                offer.values(*what, "", &self.positionals);
            }
        }
    }

    /// Flags not yet there, by letter too as long as only one dash is typed.
    fn offer_flags(&self, offer: &mut Offer<'_>) {
        let shown = self.command.all_flags().filter(|flag| flag.is_shown());
        for flag in shown.filter(|flag| flag.kind.repeats() || !self.used.contains(&flag.name)) {
            if let Some(letter) = flag.short {
                offer.add(format!("-{letter}"), flag.about);
            }
            offer.add(format!("--{}", flag.name), flag.about);
        }
        offer.add(format!("--{}", HELP.name), HELP.about);
    }
}

/// What fits to what is typed.
struct Offer<'a> {
    typed: &'a str,
    names: &'a dyn Fn(Complete) -> Vec<String>,
    completion: Completion,
}

impl Offer<'_> {
    /// Names go through a shell line by line, so one with a control character is left out.
    fn add(&mut self, text: String, about: &'static str) {
        let safe = !text.starts_with(':') && !text.contains(char::is_control);
        if safe && text.starts_with(self.typed) {
            let about = about.lines().next().unwrap_or_default();
            self.completion.candidates.push(Candidate { text, about });
        }
    }

    /// Adds what `what` stands for, each after `prefix`, but none that is `there` already.
    fn values(&mut self, what: Complete, prefix: &str, there: &[&str]) {
        let words = match what {
            Complete::Nothing => Vec::new(),
            Complete::Files => return self.completion.files = FileNames::All,
            Complete::Folders => return self.completion.files = FileNames::Folders,
            Complete::ContainerPath => return self.container_paths(),
            Complete::Words(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            _ => (self.names)(what),
        };
        for word in words.iter().filter(|word| !there.contains(&word.as_str())) {
            self.add(format!("{prefix}{word}"), "");
        }
    }

    /// A path in a container is known to the container alone.
    fn container_paths(&mut self) {
        if self.typed.contains(':') {
            return;
        }
        for name in (self.names)(Complete::Containers) {
            self.add(format!("{name}:"), "");
        }
        self.completion.files = FileNames::All;
        self.completion.no_space = !self.completion.candidates.is_empty();
    }
}
