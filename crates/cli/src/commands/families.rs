//! `mica images --tree`: names, and below them an image for each platform, as docker draws it.

use engine::{Family, ListImages, Member};
use spec::human_size_3;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::ui::{Colour, Ui, cut};

/// What stands behind the names: the words above a column, and how wide it is.
const COLUMNS: [(&str, usize); 4] =
    [("ID", 12), ("DISK USAGE", 10), ("CONTENT SIZE", 12), ("EXTRA", 5)];
const GAP: usize = 3;
/// The names get at least this much; where that is too much, columns go.
const LEAST_FOR_NAMES: usize = 12;
const LEGEND: &str = "Info ->  U In Use ";
const USED: &str = "U";

pub(super) fn tree(context: &Context, list: &ListImages) -> Outcome {
    let matches = context.matches();
    let refused = [
        ("--quiet", matches.flag("quiet")),
        ("--no-trunc", matches.flag("no-trunc")),
        ("--show-digest", matches.flag("digests")),
        ("--format", matches.string("format").is_some_and(|format| !format.is_empty())),
    ];
    if let Some((flag, _)) = refused.iter().find(|(_, given)| *given) {
        return Err(Failure::new(format!("{flag} is not yet supported with --tree")));
    }
    let mut families = context.engine()?.families(list)?;
    families.retain(|family| list.all || !family.names.is_empty());
    Drawing::of(&context.ui, &families).draw(&families);
    Ok(0)
}

/// The columns there is room for.
struct Drawing<'a> {
    ui: &'a Ui,
    names: usize,
    columns: usize,
}

impl<'a> Drawing<'a> {
    fn of(ui: &'a Ui, families: &[Family]) -> Drawing<'a> {
        let (names, columns) = room(ui.width());
        let widest = families.iter().flat_map(first_column).map(|text| text.chars().count()).max();
        Drawing { ui, names: names.min(widest.unwrap_or(0).max("IMAGE".len())), columns }
    }

    fn draw(&self, families: &[Family]) {
        let others = COLUMNS[..self.columns].iter().map(|(_, width)| GAP + width);
        let width = self.names + others.sum::<usize>();
        self.ui.line(&format!("{LEGEND:>width$}\n"));
        let mut header = format!("{:<1$}", "IMAGE", self.names);
        for (title, width) in &COLUMNS[..self.columns] {
            header.push_str(&format!("{:GAP$}{title:<width$}", ""));
        }
        self.ui.line(header.trim_end());
        for family in families {
            self.family(family);
        }
    }

    fn family(&self, family: &Family) {
        let sum = |of: fn(&Member) -> u64| family.members.iter().map(of).sum();
        let used = family.members.iter().any(|member| member.in_use);
        let cells = cells(&family.id.short(), sum(|m| m.size), sum(|m| m.content), used);
        let mut names = titles(family);
        let last = names.pop().unwrap_or_default();
        names.iter().for_each(|name| self.ui.line(&self.ui.paint(Colour::Green, name)));
        self.row(&last, Some(Colour::Green), &cells);
        for (member, title) in family.members.iter().zip(branches(family)) {
            let cells =
                self::cells(&member.id.0.short(), member.size, member.content, member.in_use);
            self.row(&title, None, &cells);
        }
        self.ui.line("");
    }

    fn row(&self, title: &str, colour: Option<Colour>, cells: &[String; 4]) {
        let title = format!("{:<1$}", cut(title, self.names), self.names);
        let mut line = colour.map_or(title.clone(), |colour| self.ui.paint(colour, &title));
        for (at, cell) in cells[..self.columns].iter().enumerate() {
            let width = COLUMNS[at].1;
            // Sizes stand to the right, the rest to the left.
            let cell = match at {
                1 | 2 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            };
            line.push_str(&format!("{:GAP$}{cell}", ""));
        }
        self.ui.line(line.trim_end());
    }
}

/// How wide the names may be and how many columns stand behind them, in so wide a window.
fn room(width: usize) -> (usize, usize) {
    let mut names = width;
    for (at, (_, column)) in COLUMNS.iter().enumerate() {
        match names.checked_sub(GAP + column).filter(|left| *left >= LEAST_FOR_NAMES) {
            Some(left) => names = left,
            None => return (names, at),
        }
    }
    (names, COLUMNS.len())
}

fn cells(id: &str, size: u64, content: u64, used: bool) -> [String; 4] {
    let [size, content] = [size, content].map(|bytes| human_size_3(bytes as f64));
    [id.to_owned(), size, content, if used { USED } else { "" }.to_owned()]
}

fn first_column(family: &Family) -> Vec<String> {
    [titles(family), branches(family)].concat()
}

fn titles(family: &Family) -> Vec<String> {
    match family.names.is_empty() {
        true => vec!["<untagged>".to_owned()],
        false => family.names.clone(),
    }
}

fn branches(family: &Family) -> Vec<String> {
    let last = family.members.len().saturating_sub(1);
    let branch = |at: usize| if at == last { "└─" } else { "├─" };
    let members = family.members.iter().enumerate();
    members.map(|(at, member)| format!("{} {}", branch(at), member.platform)).collect()
}

#[cfg(test)]
mod tests {
    use super::room;

    #[test]
    fn names_get_what_the_columns_leave() {
        assert_eq!(room(120), (69, 4));
        assert_eq!(room(80), (29, 4));
        // As docker's client does it: the last column goes first.
        assert_eq!(room(60), (17, 3));
        assert_eq!(room(30), (15, 1));
        assert_eq!(room(20), (20, 0));
    }
}
