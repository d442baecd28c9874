//! Shell patterns as Go's `path.Match` reads them: they match a whole name, and neither `*`, `?`
//! nor a class reaches over a slash.

/// A pattern that means nothing: a class that is not closed, a lone backslash at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Whether `name` as a whole matches `pattern`.
pub fn path_match(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let tokens = parse(pattern)?;
    let name: Vec<char> = name.chars().collect();
    Ok(matches(&tokens, &name))
}

enum Token {
    One,
    Many,
    Letter(char),
    Class { not: bool, ranges: Vec<(char, char)> },
}

fn parse(pattern: &str) -> Result<Vec<Token>, BadPattern> {
    let mut tokens = Vec::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        tokens.push(match letter {
            '*' => Token::Many,
            '?' => Token::One,
            '\\' => Token::Letter(letters.next().ok_or(BadPattern)?),
            '[' => {
                let not = letters.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || letters.next_if_eq(&']').is_none() {
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
        });
    }
    Ok(tokens)
}

fn class_letter(
    letters: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<char, BadPattern> {
    match letters.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => letters.next().ok_or(BadPattern),
        Some(letter) => Ok(letter),
    }
}

/// Goes back to the last `*` alone, so that the time stays in proportion to pattern times name.
fn matches(tokens: &[Token], name: &[char]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() || token < tokens.len() {
        match tokens.get(token) {
            Some(Token::Many) => {
                star = Some((token, at));
                token += 1;
                continue;
            }
            Some(wanted) if at < name.len() && wanted.takes(name[at]) => {
                (token, at) = (token + 1, at + 1);
                continue;
            }
            _ => {}
        }
        match star {
            Some((back, from)) if from < name.len() && name[from] != '/' => {
                star = Some((back, from + 1));
                (token, at) = (back + 1, from + 1);
            }
            _ => return false,
        }
    }
    true
}

impl Token {
    fn takes(&self, letter: char) -> bool {
        match self {
            Token::Many => false,
            Token::One => letter != '/',
            Token::Letter(wanted) => *wanted == letter,
            Token::Class { not, ranges } => {
                letter != '/'
                    && ranges.iter().any(|(low, high)| *low <= letter && letter <= *high) != *not
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, wanted: bool) {
        assert_eq!(path_match(pattern, name), Ok(wanted), "{pattern} {name}");
    }

    #[test]
    fn matches_whole_names() {
        check("abc", "abc", true);
        check("*", "abc", true);
        check("*c", "abc", true);
        check("a*", "ab/c", false);
        check("a*/b", "a/c/b", false);
        check("a*b*c*d*e*/f", "axbxcxdxe/f", true);
        check("a*b?c*x", "abxbbxdbxebxczzx", true);
        check("a*b?c*x", "abxbbxdbxebxczzy", false);
        check("ab[c]", "abc", true);
        check("ab[^c]", "abc", false);
        check("ab[^b-d]", "abe", true);
        check("a\\*b", "a*b", true);
        check("a???b", "a☺☻☹b", true);
        check("[a-ζ]*", "α", true);
        check("a?b", "a/b", false);
        check("*", "", true);
        check("", "", true);
        check("", "x", false);
        check("busy*:lat[e]st", "busybox:latest", true);
    }

    #[test]
    fn names_what_means_nothing() {
        for pattern in ["[]a]", "[-]", "[x-]", "[a-b-c]", "[", "[^", "a[", "a\\", "[^bc"] {
            assert_eq!(path_match(pattern, "a"), Err(BadPattern), "{pattern}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        check(&"a*".repeat(200), &"a".repeat(4000), true);
        check(&format!("{}b", "a*".repeat(200)), &"a".repeat(4000), false);
    }
}
