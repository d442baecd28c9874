//! `.dockerignore`: which files of a context are left out, decided by the last pattern that
//! matches a path or a folder above it.
//!
//! Patterns are compiled once. A match follows all possibilities side by side, so its time is in
//! proportion to pattern times path, whatever the pattern.

mod bits;

use bits::Bits;

use crate::error::BuildError;

/// The names of the files that may say what is ignored, best first.
pub fn file_names(dockerfile: &str) -> [String; 2] {
    [format!("{dockerfile}.dockerignore"), ".dockerignore".to_owned()]
}

/// The patterns of an ignore file, cleaned.
pub fn read_patterns(text: &str) -> Vec<String> {
    cleaned(text).collect()
}

fn cleaned(text: &str) -> impl Iterator<Item = String> + '_ {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim);
    let pattern = |line: &str| {
        let (sign, path) = split_sign(line);
        if path.is_empty() {
            return sign.to_owned();
        }
        let path = clean(path);
        let relative = path.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&path);
        format!("{sign}{relative}")
    };
    lines.filter(|line| !line.is_empty()).map(pattern)
}

fn split_sign(line: &str) -> (&str, &str) {
    match line.strip_prefix('!') {
        Some(path) => ("!", path.trim()),
        None => ("", line),
    }
}

/// Patterns made ready to be asked many times.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

/// So many patterns are made faster by bits, which take a kilobyte each; whoever has more waits.
const MAX_BITS: usize = 4096;

/// There may be millions of these: one without stars is no more than its letters.
#[derive(Debug, Clone)]
struct Pattern {
    /// Takes back what earlier patterns left out.
    keeps: bool,
    /// The letters that it begins with: what begins otherwise need not be followed.
    start: Box<str>,
    /// All of it, unless that is letters alone.
    tokens: Box<[Token]>,
    bits: Option<Box<Bits>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Letter(char),
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
    /// `?`
    One,
    /// `*`
    Many,
    /// `**` at the end.
    All,
    /// `**/`: no folder, or what follows.
    Folders,
    /// Always after the former: the names of one folder or more, with the last slash.
    Inside,
}

impl Ignore {
    /// Compiles patterns in their order.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Ignore, BuildError> {
        Ignore::of(patterns.iter())
    }

    fn of<S: AsRef<str>>(all: impl Iterator<Item = S>) -> Result<Ignore, BuildError> {
        let (mut patterns, mut with_bits) = (Vec::new(), 0);
        for text in all {
            let text = text.as_ref().trim();
            if text.is_empty() {
                continue;
            }
            let pattern = Pattern::new(text, with_bits < MAX_BITS)?;
            with_bits += usize::from(pattern.bits.is_some());
            patterns.push(pattern);
        }
        Ok(Ignore { patterns })
    }

    /// Compiles the text of an ignore file.
    pub fn parse(text: &str) -> Result<Ignore, BuildError> {
        Ignore::of(cleaned(text))
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a path of the context, with slashes and without one in front, is left out.
    pub fn excludes(&self, path: &str) -> bool {
        // The last match decides, so the search begins at the end.
        let last = self.patterns.iter().rev().find(|pattern| pattern.matches_or_parent(path));
        last.is_some_and(|pattern| !pattern.keeps)
    }

    /// Whether a folder can be passed over: it is left out, and nothing below it is taken back.
    pub fn skips_folder(&self, path: &str) -> bool {
        let mut keeping = self.patterns.iter().filter(|pattern| pattern.keeps);
        self.excludes(path) && !keeping.any(|pattern| pattern.may_match_below(path))
    }
}

impl Pattern {
    /// Compiles one, with bits if it may have them.
    fn new(text: &str, may_have_bits: bool) -> Result<Pattern, BuildError> {
        let wrong = || BuildError::Pattern(text.to_owned());
        let (keeps, path) = match text.strip_prefix('!') {
            Some("") => return Err(wrong()),
            Some(path) => (true, path),
            None => (false, text),
        };
        let path = clean(path);
        spec::path_match(&path, ".").map_err(|_| wrong())?;
        Ok(Pattern::of(keeps, compile(&path).ok_or_else(wrong)?, may_have_bits))
    }

    fn of(keeps: bool, mut tokens: Vec<Token>, may_have_bits: bool) -> Pattern {
        let letter = |token: &Token| match token {
            Token::Letter(letter) => Some(*letter),
            _ => None,
        };
        let start: String = tokens.iter().map_while(letter).collect();
        if tokens.iter().all(|token| letter(token).is_some()) {
            tokens.clear();
        }
        let has_bits = may_have_bits && !tokens.is_empty();
        let bits = has_bits.then(|| Bits::of(&tokens)).flatten().map(Box::new);
        Pattern { keeps, start: start.into(), tokens: tokens.into(), bits }
    }

    /// Whether it is letters alone.
    fn is_plain(&self) -> bool {
        self.tokens.is_empty()
    }

    fn matches_or_parent(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix(&*self.start) else { return false };
        if self.is_plain() {
            return rest.is_empty() || rest.starts_with('/');
        }
        let Some(bits) = &self.bits else { return self.follow(path) };
        let mut states = bits.start();
        for letter in path.chars() {
            if letter == '/' && bits.has_ended(states) {
                return true;
            }
            states = bits.step(&self.tokens, states, letter);
            if states == 0 {
                return false;
            }
        }
        bits.has_ended(states)
    }

    /// Follows the path letter by letter and looks whenever a folder's name is complete.
    fn follow(&self, path: &str) -> bool {
        let mut states = self.start();
        for letter in path.chars() {
            if letter == '/' && states[self.tokens.len()] {
                return true;
            }
            if !self.step(&mut states, letter) {
                return false;
            }
        }
        states[self.tokens.len()]
    }

    fn may_match_below(&self, folder: &str) -> bool {
        if self.is_plain() {
            return self.start.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        }
        let mut states = self.start();
        folder.chars().chain(['/']).all(|letter| self.step(&mut states, letter))
    }

    /// One flag for each token that may come next, and one for the end.
    fn start(&self) -> Vec<bool> {
        let mut states = vec![false; self.tokens.len() + 1];
        states[0] = true;
        self.pass_empty(&mut states);
        states
    }

    /// Goes past what may stand for nothing.
    fn pass_empty(&self, states: &mut [bool]) {
        for (at, token) in self.tokens.iter().enumerate().filter(|(_, token)| token.may_be_empty())
        {
            if states[at] {
                states[at + 1] = true;
                if *token == Token::Folders {
                    states[at + 2] = true;
                }
            }
        }
    }

    /// Takes one letter; whether anything is still possible.
    fn step(&self, states: &mut [bool], letter: char) -> bool {
        // From the end, so that one row of flags is enough: a letter leads at most one further.
        states[self.tokens.len()] = false;
        for (at, token) in self.tokens.iter().enumerate().rev() {
            if !std::mem::take(&mut states[at]) {
                continue;
            }
            states[at + 1] |= token.takes(letter);
            states[at] |= match token {
                Token::Many => letter != '/',
                Token::All | Token::Inside => true,
                _ => false,
            };
        }
        self.pass_empty(states);
        states.contains(&true)
    }
}

impl Token {
    /// Whether what comes next after this letter is the next token.
    fn takes(&self, letter: char) -> bool {
        match self {
            Token::Letter(wanted) => *wanted == letter,
            Token::Class { not, ranges } => {
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter));
                inside != *not
            }
            Token::One => letter != '/',
            Token::Inside => letter == '/',
            Token::Many | Token::All | Token::Folders => false,
        }
    }

    fn may_be_empty(&self) -> bool {
        matches!(self, Token::Many | Token::All | Token::Folders)
    }
}

fn compile(path: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut letters = path.chars().peekable();
    while let Some(letter) = letters.next() {
        let token = match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                letters.next_if_eq(&'/');
                if letters.peek().is_none() {
                    Token::All
                } else {
                    tokens.push(Token::Folders);
                    Token::Inside
                }
            }
            '*' => Token::Many,
            '?' => Token::One,
            '\\' => Token::Letter(letters.next()?),
            '[' => {
                let not = letters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while letters.next_if_eq(&']').is_none() {
                    let low = class_letter(&mut letters)?;
                    let high = match letters.next_if_eq(&'-') {
                        Some(_) => class_letter(&mut letters)?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Token::Class { not, ranges }
            }
            letter => Token::Letter(letter),
        };
        tokens.push(token);
    }
    Some(tokens)
}

fn class_letter(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match letters.next()? {
        '\\' => letters.next(),
        letter => Some(letter),
    }
}

/// A path without empty parts and `.`, with `..` carried out where that is possible.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &[&str], path: &str, wanted: bool) {
        let ignore = Ignore::new(patterns).unwrap();
        assert_eq!(ignore.excludes(path), wanted, "{patterns:?} {path}");
    }

    #[test]
    fn decides_by_the_last_match() {
        check(&["*.go"], "a.go", true);
        check(&["*.go"], "x/a.go", false);
        check(&["**/*.go"], "x/y/a.go", true);
        check(&["**/*.go"], "a.go", true);
        check(&["a/**/c"], "a/c", true);
        check(&["a/**/c"], "a/b/b/c", true);
        check(&["a/**/c"], "a/bc", false);
        check(&["**/b"], "ab", false);
        check(&["**/b"], "x/a/b/c", true);
        check(&["a"], "a/b/c", true);
        check(&["*", "!dir"], "dir/x", false);
        check(&["dir", "!dir/a", "dir/a/b"], "dir/a/b", true);
        check(&["**"], "a/b", true);
        check(&["a/**"], "a", false);
        check(&["a[b-d]e"], "ace", true);
        check(&["a[^b-d]e"], "ace", false);
        check(&["a\\*b"], "a*b", true);
        assert!(Ignore::new(&["!"]).is_err() && Ignore::new(&["a["]).is_err());
    }

    #[test]
    fn passes_over_folders_that_hold_nothing() {
        let ignore = Ignore::new(&["node_modules", "*.log", "out", "!out/keep/**"]).unwrap();
        assert!(ignore.skips_folder("node_modules"));
        assert!(!ignore.skips_folder("src"));
        assert!(!ignore.skips_folder("out") && !ignore.skips_folder("out/keep"));
        assert!(ignore.skips_folder("out/else"));
    }

    #[test]
    fn bits_say_what_rows_of_flags_say() {
        let words = ["a", "ab", "*", "**", "?", "[a-b]", "[^a]", "/", "\u{e4}", "a*b"];
        let paths = ["", "a", "ab", "b", "a/b", "ab/a", "a/b/ab", "\u{e4}", "a\u{e4}/b", "b/a/a/b"];
        for number in 0..words.len().pow(4) {
            let picked = (0..4).map(|at| words[number / words.len().pow(at) % words.len()]);
            let text: String = picked.collect();
            let Ok(pattern) = Pattern::new(&text, true) else { continue };
            assert_eq!(pattern.bits.is_some(), !pattern.is_plain());
            let tokens = compile(&clean(&text)).unwrap().into();
            let followed = Pattern { tokens, ..pattern.clone() };
            for path in paths {
                let told = (pattern.matches_or_parent(path), pattern.may_match_below(path));
                let wanted = (followed.follow(path), followed.may_match_below(path));
                assert_eq!(told, wanted, "{text} {path}");
            }
        }
    }

    #[test]
    fn many_patterns_take_little_each() {
        let text: String = (0..2 * MAX_BITS).map(|at| format!("a{at}\n{at}*b\n")).collect();
        let ignore = Ignore::parse(&text).unwrap();
        let with_bits = ignore.patterns.iter().filter(|pattern| pattern.bits.is_some()).count();
        assert_eq!(with_bits, MAX_BITS);
        assert!(std::mem::size_of::<Pattern>() <= 48);
        let last = 2 * MAX_BITS - 1;
        assert!(ignore.excludes(&format!("a{last}/x")) && ignore.excludes(&format!("{last}xb")));
        assert!(!ignore.excludes(&format!("{last}xc")));
    }

    #[test]
    fn a_pattern_may_be_longer_than_a_number_has_bits() {
        let long = "x".repeat(70);
        check(&[&format!("{long}*")], &format!("{long}yz/a"), true);
        check(&[&format!("{long}*")], &format!("{long}/yz"), true);
        check(&[&format!("**/{long}")], &format!("a/b/{long}"), true);
        check(&[&format!("**/{long}")], &format!("a/b/{long}y"), false);
    }

    #[test]
    fn reads_files() {
        assert_eq!(read_patterns("# c\n /a/ \n\n! b//c\r\n!\n/\n"), ["a", "!b/c", "!", "/"]);
    }

    #[test]
    fn agrees_with_the_tables() {
        let Some(rows) = crate::vectors::rows("pattern.tsv") else { return };
        let wrong: Vec<String> = rows
            .iter()
            .filter_map(|cells| {
                let patterns: Vec<String> = serde_json::from_str(&cells[0]).unwrap();
                let path: String = serde_json::from_str(&cells[1]).unwrap();
                let got = match Ignore::new(&patterns) {
                    Err(_) => "err".to_owned(),
                    Ok(ignore) => ignore.excludes(&path).to_string(),
                };
                (got != cells[2]).then(|| format!("{cells:?} got {got}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
