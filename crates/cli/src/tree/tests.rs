//! What must hold of every command.

use super::{Cmd, ROOT};
use crate::args::{Parsed, parse};
use crate::commands::runtime;

fn each(command: &'static Cmd, path: &str, look: &mut impl FnMut(&'static Cmd, &str)) {
    for inner in command.sub {
        let path = format!("{path} {}", inner.name);
        look(inner, &path);
        each(inner, &path, look);
    }
}

#[test]
fn every_command_that_does_something_has_an_example() {
    let mut without = Vec::new();
    let mut look = |command: &'static Cmd, path: &str| {
        if command.action.is_some() && !command.hidden && !command.examples.contains("mica ") {
            without.push(path.to_owned());
        }
    };
    each(&ROOT, "mica", &mut look);
    each(&runtime::ROOT, runtime::PROGRAM, &mut look);
    assert_eq!(without, Vec::<String>::new());
}

#[test]
fn a_command_is_one_line_in_a_list() {
    each(&ROOT, "mica", &mut |command, path| {
        assert!(!command.about.is_empty() && !command.about.contains('\n'), "{path}");
    });
}

#[test]
fn every_example_can_be_typed() {
    each(&ROOT, "mica", &mut |command, path| {
        let lines = command.examples.lines().filter_map(|line| line.strip_prefix("  mica "));
        // What a shell makes of the rest is its own business.
        for line in lines.filter(|line| !line.contains(['$', '|', '<', '&'])) {
            // A word in quotes is one word; between them they are parted by spaces.
            let parts = line.split('\'').enumerate();
            let words: Vec<String> = parts
                .flat_map(|(at, part)| match at % 2 {
                    1 => vec![part.to_owned()],
                    _ => part.split_whitespace().map(str::to_owned).collect(),
                })
                .collect();
            let parsed = parse(&ROOT, "mica", &words);
            assert!(matches!(parsed, Ok(Parsed::Run(_))), "{path}: mica {line}");
        }
    });
}
