//! `mica cp`.

use std::io;

use engine::{CopyEnd, CopyFiles, Engine, EngineError, Kind};
use spec::human_size;

use super::save::stdout;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// What is named: a container and a path in it, or else something of this machine.
pub(crate) struct Ends<'a> {
    pub(crate) from: Option<(&'a str, &'a str)>,
    pub(crate) to: Option<(&'a str, &'a str)>,
}

/// What the two words of the command line name.
pub(crate) fn ends(context: &Context) -> Result<Ends<'_>, Failure> {
    let [from, to] = context.names() else {
        return Err(Failure::new("a source and a destination are needed"));
    };
    for (what, path) in [("source", from), ("destination", to)] {
        if path.is_empty() {
            return Err(Failure::new(format!("{what} can not be empty")));
        }
    }
    let ends = Ends { from: split(from), to: split(to) };
    if ends.from.is_none() && ends.to.is_none() {
        return Err(Failure::new("must specify at least one container source"));
    }
    Ok(ends)
}

/// Says that it is done, to whoever looks.
pub(crate) fn tell(context: &Context, bytes: u64, to: &str) {
    if context.ui.is_terminal() && !context.matches().flag("quiet") && to != "-" {
        let bytes = human_size(bytes as f64);
        context.ui.warn(&format!("Successfully copied {bytes} to {to}"));
    }
}

pub(crate) fn run(context: &Context) -> Outcome {
    let matches = context.matches();
    let Ends { from: inside, to: target } = ends(context)?;
    let [from, to] = context.names() else { return Ok(1) };
    let engine = context.engine()?;
    let source = match inside {
        Some((container, path)) => end(&engine, container, path)?,
        None if from == "-" => CopyEnd::Reader(Box::new(io::stdin())),
        None => CopyEnd::Host(from.into()),
    };
    let place = match target {
        Some((container, path)) => end(&engine, container, path)?,
        None if to == "-" && context.ui.is_terminal() => {
            return Err(Failure::new(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            ));
        }
        None if to == "-" => CopyEnd::Writer(Box::new(stdout()?)),
        None => CopyEnd::Host(to.into()),
    };
    let archive = matches.flag("archive");
    let request = CopyFiles {
        // As docker has it: a file that comes from the host is the container's own then. A tar says
        // itself whose its files are.
        as_user: archive && inside.is_none() && from != "-",
        replaces: false,
        from: source,
        to: place,
        archive,
        follow: matches.flag("follow-link"),
    };
    let bytes = engine.copy_files(request).map_err(|error| match error {
        // Docker's client says these itself.
        EngineError::Input(words) => Failure::new(words),
        other => other.into(),
    })?;
    tell(context, bytes, to);
    Ok(0)
}

/// A container and a path in it, if that is what a word says: `web:/etc`, not `/a:b` or `./a:b`.
fn split(word: &str) -> Option<(&str, &str)> {
    if word.starts_with(['/', '.']) {
        return None;
    }
    match word.strip_prefix("image:").and_then(|rest| rest.find(":/")) {
        // The name of an image may have colons of its own.
        Some(at) => Some(word.split_at("image:".len() + at)).map(|(name, path)| (name, &path[1..])),
        None => word.split_once(':'),
    }
}

fn end(engine: &Engine, container: &str, path: &str) -> Result<CopyEnd, Failure> {
    let path = path.to_owned();
    if let Some(name) = container.strip_prefix("image:") {
        return Ok(CopyEnd::Image(name.to_owned(), path));
    }
    match engine.containers().find(container) {
        Err(error) if error.kind() == Kind::NotFound => {
            let hint = format!("`mica cp image:{container}:{path} .` copies out of an image");
            Err(Failure::from(error).hint(hint))
        }
        found => Ok(CopyEnd::Container(found?, path)),
    }
}
