//! This program as the first process of a container that another runtime made.

use std::path::Path;

use runtime::reaper;

use crate::ui::Ui;

/// Whether a program of this name is an init: docker's own is called so too.
pub(crate) fn is_init(program: &str) -> bool {
    Path::new(program) == Path::new(reaper::PLACE)
}

/// Runs a program and watches over it; what fails is told as the shell tells it.
pub(crate) fn run(words: &[String], ui: &Ui) -> u8 {
    match reaper::supervise(words) {
        Ok(code) => u8::try_from(code).unwrap_or(1),
        Err(error) => {
            let name = words.iter().find(|word| *word != "--").map_or("", String::as_str);
            ui.warn(&format!("exec {name} failed: {error}"));
            match error.kind() {
                std::io::ErrorKind::NotFound => 127,
                _ => 126,
            }
        }
    }
}
