//! Help pages, in docker's layout.

use super::error::Place;
use super::flag::HELP;
use super::quote::quote;
use super::wrap::wrap;
use super::{Command, Flag, Kind};

/// The column of names in a list of commands is at least this wide.
const NAME_COLUMNS: usize = 11;

/// The help page of the last command of `path`, for a terminal `width` columns wide.
///
/// Docker takes 80 columns where there is no terminal.
pub fn render_help<A: Copy>(path: &[&'static Command<A>], program: &str, width: usize) -> String {
    let place = Place { program, path };
    let Some(command) = path.last() else {
        return String::new();
    };
    let is_root = path.len() == 1;
    let mut page = Page { text: String::new() };
    page.text.push_str(&usage(&place, command));
    let description = if command.long.is_empty() { command.about } else { command.long };
    page.paragraph(description.trim());
    page.section("Aliases", &aliases(&place, command));
    page.section("Examples", command.examples.trim_end());
    if !is_root {
        page.section("Options", &flag_table(command, width));
    }
    page.command_lists(command);
    if is_root {
        page.section("Global Options", &flag_table(command, width));
    }
    if !command.sub.is_empty() {
        let name = place.name();
        page.paragraph(&format!("Run '{name} COMMAND --help' for more information on a command."));
    }
    page.paragraph(command.footer.trim());
    page.text
}

/// A page that grows paragraph by paragraph; empty ones leave no trace.
struct Page {
    text: String,
}

impl Page {
    fn paragraph(&mut self, text: &str) {
        if !text.is_empty() {
            self.text.extend(["\n", text, "\n"]);
        }
    }

    fn section(&mut self, title: &str, body: &str) {
        if !body.is_empty() {
            self.text.extend(["\n", title, ":\n", body, "\n"]);
        }
    }

    fn command_lists<A: Copy>(&mut self, group: &Command<A>) {
        let shown = || group.sub.iter().copied().filter(|sub| !sub.hidden);
        let longest = shown().map(|sub| sub.name.len()).max().unwrap_or(0).max(NAME_COLUMNS);
        let list = |title: &str, sorted: bool| {
            let mut rows: Vec<_> = shown().filter(|sub| list_of(sub) == title).collect();
            if sorted {
                rows.sort_by_key(|sub| sub.name);
            }
            let row = |sub: &Command<A>| format!("  {:longest$} {}", sub.name, sub.about);
            rows.into_iter().map(row).collect::<Vec<_>>().join("\n")
        };
        self.section(COMMON, &list(COMMON, false));
        self.section(MANAGEMENT, &list(MANAGEMENT, true));
        self.section(OTHER, &list(OTHER, true));
    }
}

const COMMON: &str = "Common Commands";
const MANAGEMENT: &str = "Management Commands";
const OTHER: &str = "Commands";

/// The title of the list that a command belongs to.
fn list_of<A: Copy>(command: &Command<A>) -> &'static str {
    match command {
        Command { common: true, .. } => COMMON,
        Command { sub: [_, ..], .. } => MANAGEMENT,
        _ => OTHER,
    }
}

fn usage<A: Copy>(place: &Place<'_, A>, command: &Command<A>) -> String {
    // A command that does something itself is that first.
    if command.sub.is_empty() || command.action.is_some() {
        return format!("Usage:  {}\n", place.use_line());
    }
    let options = if command.all_flags().any(Flag::is_shown) { " [OPTIONS]" } else { "" };
    format!("Usage:  {}{options} COMMAND\n", place.name())
}

fn aliases<A: Copy>(place: &Place<'_, A>, command: &Command<A>) -> String {
    let program = place.program;
    let names: Vec<_> = if !command.also.is_empty() {
        command.also.iter().map(|name| format!("{program} {name}")).collect()
    } else if !command.aliases.is_empty() {
        let group = Place { program, path: &place.path[..place.path.len() - 1] }.name();
        let names = std::iter::once(&command.name).chain(command.aliases);
        names.map(|name| format!("{group} {name}")).collect()
    } else {
        return String::new();
    };
    format!("  {}", names.join(", "))
}

fn flag_table<A: Copy>(command: &Command<A>, width: usize) -> String {
    let mut flags: Vec<_> = command.all_flags().filter(|flag| flag.is_shown()).collect();
    // Where `-h` means something else, the page says what is left for help.
    if command.all_flags().any(|flag| flag.short == HELP.short) {
        flags.push(&HELP);
    }
    flags.sort_by_key(|flag| flag.name);
    let rows: Vec<_> = flags.iter().map(|flag| (flag_names(flag), flag_about(flag))).collect();
    let column = rows.iter().map(|(names, _)| names.len()).max().unwrap_or(0) + 3;
    let row = |(names, about): &(String, String)| {
        format!("{names:column$}{}", wrap(about, column, width.saturating_sub(1)))
    };
    let table = rows.iter().map(row).collect::<Vec<_>>().join("\n");
    table.trim_end().to_owned()
}

/// The left column: letter, name, and what the value is called.
fn flag_names(flag: &Flag) -> String {
    let mut names = match flag.short.filter(|_| flag.name != HELP.name) {
        Some(letter) => format!("  -{letter}, --{}", flag.name),
        None => format!("      --{}", flag.name),
    };
    if !flag.noun().is_empty() {
        names.extend([" ", flag.noun()]);
    }
    match flag.no_value {
        Some(value) if flag.noun() == "string" => names.push_str(&format!("[=\"{value}\"]")),
        Some(value) if flag.kind != Kind::Bool || value != "true" => {
            names.push_str(&format!("[={value}]"));
        }
        _ => {}
    }
    names
}

/// The right column: what the flag does, and its default unless that is plain nothing.
fn flag_about(flag: &Flag) -> String {
    let nothing = match flag.default {
        "" | "false" | "0" => true,
        "0s" => flag.kind == Kind::Duration,
        "[]" => flag.kind == Kind::Strings,
        _ => false,
    };
    if nothing {
        flag.about.to_owned()
    } else if flag.noun() == "string" {
        format!("{} (default {})", flag.about, quote(flag.default))
    } else {
        format!("{} (default {})", flag.about, flag.default)
    }
}
