//! Breaks descriptions into lines exactly where docker's help pages do.

/// A last line may be this much too long: better than one word on a line of its own.
const OVERHANG: usize = 5;
/// Narrower descriptions than this start on a line of their own, further left.
const NARROWEST: usize = 24;
/// Where they start then.
const NARROW_INDENT: usize = 16;

/// `text` in lines of a page with `columns`, for a column that starts at `indent`.
///
/// The first line carries no indent: the caller has written up to the column.
pub(super) fn wrap(text: &str, indent: usize, columns: usize) -> String {
    if columns == 0 {
        return text.replace('\n', &new_line(indent));
    }
    let mut room = columns.saturating_sub(indent);
    let mut wrapped = String::new();
    let mut line_start = new_line(indent);
    if room < NARROWEST {
        line_start = new_line(NARROW_INDENT);
        room = columns.saturating_sub(NARROW_INDENT);
        if room < NARROWEST {
            return text.replace('\n', &line_start);
        }
        wrapped.push_str(&line_start);
    }
    let room = room - OVERHANG;
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (line, further) = first_line(text, room);
        wrapped.push_str(&line.replace('\n', &line_start));
        rest = further.filter(|further| !further.is_empty());
        if rest.is_some() {
            wrapped.push_str(&line_start);
        }
    }
    wrapped
}

fn new_line(indent: usize) -> String {
    format!("\n{:indent$}", "")
}

/// Cuts at the last blank that fits, but at a line end first; a word too long stays whole.
fn first_line(text: &str, room: usize) -> (&str, Option<&str>) {
    if text.len() < room + OVERHANG {
        return (text, None);
    }
    let fitting = &text[..text.floor_char_boundary(room)];
    let cut = match (fitting.rfind([' ', '\t', '\n']), fitting.rfind('\n')) {
        (None | Some(0), _) => return (text, None),
        (Some(blank), Some(line_end)) if line_end > 0 && line_end < blank => line_end,
        (Some(blank), _) => blank,
    };
    (&text[..cut], Some(&text[cut + 1..]))
}
