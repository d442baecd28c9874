//! A document as text again: read anew, it says the same.

use std::fmt;

use super::{Directives, Document, Heredoc, Node, continued};

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.directives.fmt(f)?;
        // What follows must not be taken for a directive.
        writeln!(f)?;
        for node in &self.nodes {
            node.comments.iter().try_for_each(|comment| writeln!(f, "# {comment}"))?;
            write_node(f, node, self.directives.escape)?;
            // A comment belongs to the instruction directly below it.
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Directives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(syntax) = &self.syntax {
            writeln!(f, "# syntax={syntax}")?;
        }
        if self.escape != '\\' {
            writeln!(f, "# escape={}", self.escape)?;
        }
        if let Some(check) = &self.check {
            writeln!(f, "# check={check}")?;
        }
        Ok(())
    }
}

fn write_node(f: &mut fmt::Formatter<'_>, node: &Node, escape: char) -> fmt::Result {
    let flags = node.flags.iter().map(|flag| escaped(flag, escape));
    // What was protected from being a flag must be so again.
    let protects = node.rest.starts_with("--").then(|| "--".to_owned());
    let rest = Some(node.rest.clone()).filter(|rest| !rest.is_empty());
    let words = std::iter::once(node.keyword.clone()).chain(flags).chain(protects).chain(rest);
    let mut line = words.collect::<Vec<_>>().join(" ");
    if continued(&line, escape).1 {
        // A space of another kind keeps the last letter from joining lines, and is trimmed.
        line.push('\u{b}');
    }
    writeln!(f, "{line}")?;
    for Heredoc { name, content, .. } in &node.heredocs {
        writeln!(f, "{content}{name}")?;
    }
    Ok(())
}

/// A flag with escapes where letters would end it or begin a quote.
fn escaped(flag: &str, escape: char) -> String {
    let special =
        |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'') || letter == escape;
    flag.chars()
        .flat_map(|letter| special(letter).then_some(escape).into_iter().chain([letter]))
        .collect()
}
