//! What the checks of a Dockerfile found, told when its build is over.

use std::collections::HashSet;

use crate::context::Context;

/// What was found, and how much of it is told.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<(String, String)>,
    /// The same, to be found among many.
    known: HashSet<(String, String)>,
    /// Whether it is told what is meant and why, too.
    is_expanded: bool,
}

impl Findings {
    /// None yet, to be told as the command line wants it.
    pub(super) fn of(context: &Context) -> Findings {
        let (globals, own) = (context.globals(), context.matches());
        let is_expanded = globals.flag("debug")
            || globals.string("log-level") == Some("debug")
            || own.has("debug") && own.flag("debug");
        Findings { is_expanded, ..Findings::default() }
    }

    /// Adds one, unless several builds of one file found the same.
    pub(super) fn add(&mut self, text: &str, more: &str) {
        let found = (text.to_owned(), more.to_owned());
        if self.known.insert(found.clone()) {
            self.list.push(found);
        }
    }

    /// All of them, as buildx tells them; nothing if there are none.
    pub(super) fn text(&self) -> String {
        let count = match self.list.len() {
            0 => return String::new(),
            1 => "1 warning found".to_owned(),
            count => format!("{count} warnings found"),
        };
        let how = if self.is_expanded { "" } else { " (use docker --debug to expand)" };
        let one = |(text, more): &(String, String)| match self.is_expanded {
            true => format!(" - {text}\n{}\n\n", more.trim_end()),
            false => format!(" - {text}\n"),
        };
        let list: String = self.list.iter().map(one).collect();
        format!("\n {count}{how}:\n{list}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_in_buildxs_words() {
        let mut found = Findings::default();
        assert_eq!(found.text(), "");
        found.add("A: a (line 2)", "why\n");
        found.add("A: a (line 2)", "why\n");
        let one = "\n 1 warning found (use docker --debug to expand):\n - A: a (line 2)\n";
        assert_eq!(found.text(), one);
        found.add("B: b (line 3)", "so\n");
        found.is_expanded = true;
        let all = "\n 2 warnings found:\n - A: a (line 2)\nwhy\n\n - B: b (line 3)\nso\n\n";
        assert_eq!(found.text(), all);
    }
}
