//! `COPY` and `ADD`: flags, sources, and where they go.

use super::flags::{Flags, Form};
use super::{Kind, Source};
use crate::change::Exact;
use crate::syntax::{Node, json_list};

/// Flags of `COPY` and `ADD`; some belong to only one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopyFlags {
    /// A stage, an image or a named context to copy from.
    pub from: Option<String>,
    /// Owner and group, as numbers or as names of the image.
    pub chown: Option<String>,
    /// Permissions, octal or symbolic.
    pub chmod: Option<String>,
    /// Whether the layer is made without looking at those below.
    pub link: bool,
    /// Whether folders above the sources are kept.
    pub parents: bool,
    /// Patterns of what is left out.
    pub exclude: Vec<String>,
    /// The digest that what comes from an address must have.
    pub checksum: Option<String>,
    /// Whether the folder `.git` is kept.
    pub keep_git_dir: Option<bool>,
    /// Whether archives are unpacked; without it local ones are.
    pub unpack: Option<bool>,
    /// What a graph of operations says besides.
    pub exact: Option<Exact>,
}

const COPY: &[(&str, Form)] = &[
    ("from", Form::Text),
    ("chown", Form::Text),
    ("chmod", Form::Text),
    ("link", Form::Bool),
    ("parents", Form::Bool),
    ("exclude", Form::List),
];

const ADD: &[(&str, Form)] = &[
    ("chown", Form::Text),
    ("chmod", Form::Text),
    ("link", Form::Bool),
    ("exclude", Form::List),
    ("checksum", Form::Text),
    ("keep-git-dir", Form::Bool),
    ("unpack", Form::Bool),
];

pub(super) fn copy(node: &Node, name: &str, escape: char) -> Result<Kind, String> {
    let is_add = name == "ADD";
    let read = Flags::read(&node.flags, if is_add { ADD } else { COPY })?;
    let perhaps = |name| read.text(name).map(|value| value == "true");
    let flags = CopyFlags {
        from: read.text("from").map(known_stage).transpose()?,
        chown: read.text("chown"),
        chmod: read.text("chmod"),
        link: read.is_set("link"),
        parents: read.is_set("parents"),
        exclude: read.list("exclude"),
        checksum: read.text("checksum"),
        keep_git_dir: perhaps("keep-git-dir"),
        unpack: perhaps("unpack"),
        exact: None,
    };
    let (sources, target) = paths(node, name, escape)?;
    Ok(match is_add {
        true => Kind::Add { flags, sources, target },
        false => Kind::Copy { flags, sources, target },
    })
}

fn paths(node: &Node, name: &str, escape: char) -> Result<(Vec<Source>, String), String> {
    let mut words = match json_list(&node.rest) {
        Some(list) => list?,
        None => node.rest.split_whitespace().map(str::to_owned).collect(),
    };
    let target = words.pop().ok_or_else(|| format!("{name} requires at least two arguments"));
    let target = target.map_err(|start| {
        format!("{start}, but no arguments were provided. Source and destination could not be determined")
    })?;
    if words.is_empty() {
        return Err(format!(
            "{name} requires at least two arguments, but only one was provided. Destination could \
             not be determined"
        ));
    }
    if node.heredocs.iter().any(|here| target.starts_with("<<") && target.contains(&here.name)) {
        return Err(format!("{name} cannot accept a heredoc as a destination"));
    }
    let mut inline = node.heredocs.iter();
    let source = |word: String| match crate::syntax::is_heredoc(&word, escape) {
        true => inline.next().cloned().map_or(Source::Path(word), Source::Inline),
        false => Source::Path(word),
    };
    Ok((words.into_iter().map(source).collect(), target))
}

/// Which stage is needed must be known before any variable is.
fn known_stage(name: String) -> Result<String, String> {
    match name.find('$').is_some_and(|at| at + 1 < name.len()) {
        true => {
            Err("variable expansion is not supported for --from, define a new stage with FROM \
                     using ARG from global scope as a workaround"
                .to_owned())
        }
        false => Ok(name),
    }
}
