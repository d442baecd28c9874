//! The tag of a log's messages: a text with docker's markers in it.

use super::{LogError, LogFacts};

/// How much of an id is shown.
const SHORT: usize = 12;
/// What `{{.DaemonName}}` has always stood for; collectors sort by it.
const DAEMON: &str = "docker";

/// Fills the markers of a template in.
pub(super) fn fill(template: &str, facts: &LogFacts) -> Result<String, LogError> {
    let bad = |why: String| LogError::BadOption { option: "tag", value: template.to_owned(), why };
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, marked)) = rest.split_once("{{") {
        let (marker, after) =
            marked.split_once("}}").ok_or_else(|| bad("a marker has no end".to_owned()))?;
        // Docker's templates may eat the blanks around a marker.
        let (eats_before, marker) = trim(marker, str::strip_prefix, "-");
        let (eats_after, marker) = trim(marker, str::strip_suffix, "-");
        text += if eats_before { before.trim_end() } else { before };
        text += &value(marker.trim(), facts)
            .ok_or_else(|| bad(format!("there is no marker {{{{{}}}}}", marker.trim())))?;
        rest = if eats_after { after.trim_start() } else { after };
    }
    Ok(text + rest)
}

fn trim<'a>(
    text: &'a str,
    strip: fn(&'a str, &'static str) -> Option<&'a str>,
    sign: &'static str,
) -> (bool, &'a str) {
    strip(text, sign).map_or((false, text), |rest| (true, rest))
}

fn value(marker: &str, facts: &LogFacts) -> Option<String> {
    let digits = facts.image_id.split_once(':').map_or(facts.image_id.as_str(), |(_, hex)| hex);
    let short = |id: &str| id.chars().take(SHORT).collect::<String>();
    Some(match marker {
        ".ID" => short(&facts.id),
        ".FullID" => facts.id.clone(),
        ".Name" => facts.name.clone(),
        ".ImageID" => short(digits),
        ".ImageFullID" => facts.image_id.clone(),
        ".ImageName" => facts.image.clone(),
        ".Command" => facts.command.clone(),
        ".Hostname" => sys::host::hostname(),
        ".DaemonName" => DAEMON.to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, String> {
        let facts = LogFacts {
            id: "0123456789abcdef".to_owned(),
            name: "web".to_owned(),
            image: "app:1".to_owned(),
            image_id: "sha256:fedcba9876543210".to_owned(),
            command: "run -x".to_owned(),
            ..LogFacts::default()
        };
        fill(template, &facts).map_err(|error| error.to_string())
    }

    #[test]
    fn markers_are_dockers() {
        let all = "{{.ID}}/{{ .FullID }}/{{.Name}}/{{.ImageID}}/{{.ImageFullID}}/{{.ImageName}}";
        assert_eq!(
            filled(all).unwrap(),
            "0123456789ab/0123456789abcdef/web/fedcba987654/sha256:fedcba9876543210/app:1"
        );
        assert_eq!(filled("{{.DaemonName}}[{{.Command}}]").unwrap(), "docker[run -x]");
        assert_eq!(filled("a {{- .Name -}} b").unwrap(), "awebb");
        assert_eq!(filled("plain").unwrap(), "plain");
    }

    #[test]
    fn what_is_no_marker_is_told() {
        assert!(filled("{{.Nope}}").unwrap_err().contains("there is no marker {{.Nope}}"));
        assert!(filled("{{.Name").unwrap_err().contains("has no end"));
    }
}
