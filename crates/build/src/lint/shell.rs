//! As much of a shell's language as advice needs: commands, their words, what joins them.

/// A command without pipes and lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Simple {
    /// Its words without quotes, assignments in front left out.
    pub(super) words: Vec<String>,
    /// Whether it reads what the command before it writes.
    pub(super) is_piped: bool,
}

impl Simple {
    /// Whether it calls `program`, perhaps by `sudo` or `env`.
    pub(super) fn calls(&self, program: &str) -> bool {
        self.program() == Some(program)
    }

    /// What it calls.
    pub(super) fn program(&self) -> Option<&str> {
        self.words.iter().map(String::as_str).find(|word| !matches!(*word, "sudo" | "env" | "exec"))
    }

    /// The first word after the program that is no flag.
    pub(super) fn verb(&self) -> Option<&str> {
        let program = self.program()?;
        let after = self.words.iter().skip_while(|word| *word != program).skip(1);
        after.map(String::as_str).find(|word| !word.starts_with('-'))
    }

    /// Whether it has one of these flags; letters stand also within a row of them.
    pub(super) fn has_flag(&self, flags: &[&str]) -> bool {
        let is = |word: &String, flag: &&str| match flag.strip_prefix('-') {
            Some(letter) if letter.len() == 1 => {
                word.starts_with('-') && !word.starts_with("--") && word.contains(letter)
            }
            _ => word == flag || word.strip_prefix(*flag).is_some_and(|rest| rest.starts_with('=')),
        };
        self.words.iter().any(|word| flags.iter().any(|flag| is(word, flag)))
    }
}

/// The commands of a text, in its order.
pub(super) fn commands(text: &str) -> Vec<Simple> {
    let mut all = Vec::new();
    let mut reader = Reader::default();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' if reader.quote.is_none() => reader.quote = Some(letter),
            _ if reader.quote == Some(letter) => reader.quote = None,
            '\\' if reader.quote != Some('\'') => reader.word.extend(letters.next()),
            _ if reader.quote.is_some() => reader.word.push(letter),
            '#' if reader.word.is_empty() => {
                while letters.next_if(|next| *next != '\n').is_some() {}
            }
            ';' | '&' | '\n' | '(' | ')' | '{' | '}' if !reader.word.ends_with('$') => {
                reader.end(&mut all, false);
            }
            '|' => {
                let is_or = letters.next_if_eq(&'|').is_some();
                letters.next_if_eq(&'&');
                reader.end(&mut all, !is_or);
            }
            _ if letter.is_whitespace() => reader.end_word(),
            _ => reader.word.push(letter),
        }
    }
    reader.end(&mut all, false);
    all
}

#[derive(Default)]
struct Reader {
    simple: Simple,
    word: String,
    quote: Option<char>,
}

impl Reader {
    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let assigns = word.split_once('=').is_some_and(|(name, _)| is_name(name));
        if !(word.is_empty() || assigns && self.simple.words.is_empty()) {
            self.simple.words.push(word);
        }
    }

    fn end(&mut self, all: &mut Vec<Simple>, next_is_piped: bool) {
        self.end_word();
        let is_piped = next_is_piped;
        let simple = std::mem::replace(&mut self.simple, Simple { words: vec![], is_piped });
        if simple.words.is_empty() {
            // A line that ends in a pipe goes on below.
            self.simple.is_piped |= simple.is_piped;
        } else {
            all.push(simple);
        }
    }
}

/// What only a shell knows.
const BUILTINS: &[&str] = &[
    ".", ":", "[", "alias", "break", "cd", "command", "continue", "eval", "exec", "exit", "export",
    "read", "return", "set", "shift", "source", "test", "time", "trap", "type", "ulimit", "umask",
    "unset", "until", "wait", "while", "if", "for", "case", "function",
];

/// The words of a command that means the same without a shell; nothing if it needs one.
pub(super) fn plain_words(text: &str) -> Option<Vec<String>> {
    let harmless = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@% ".contains(letter);
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let program = words.first()?;
    let runs = !program.contains('=') && !BUILTINS.contains(&program.as_str());
    (runs && text.chars().all(harmless)).then_some(words)
}
