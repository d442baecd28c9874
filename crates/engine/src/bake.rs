//! Where bake files come from: names, folders, streams. What they mean is `build::bake`'s.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use ::build::bake::{FILE_NAMES, File, Included, MAX_BYTES, includes};

use crate::Engine;
use crate::build::with_repository;
use crate::error::{EngineError, Result};

/// Reads the files that are named, or those that lie in a folder under the usual names; `-` is the
/// stream.
pub fn bake_files(names: &[String], folder: &Path, stream: &mut dyn Read) -> Result<Vec<File>> {
    files(names, &mut |name| match name {
        "-" if !names.is_empty() => limited(stream),
        path => text_of(&folder.join(path)),
    })
}

impl Engine {
    /// The same of files that are kept elsewhere: in a repository, which a token may open, or one
    /// file of the web. Names in a repository lead to nothing outside of it.
    pub fn remote_bake_files(
        &self,
        address: &str,
        names: &[String],
        token: Option<&str>,
    ) -> Result<Vec<File>> {
        let read = |root: &OwnedFd| {
            files(names, &mut |name| limited(&mut sys::fs::file_in_root(root, name)?))
        };
        if let Some(files) = with_repository(self, address, token, read)? {
            return Ok(files);
        }
        let mut fetched = self.settings().direct().fetch(address)?;
        let text = limited(&mut fetched.reader).map_err(EngineError::io("read", address))?;
        let path = address.split(['?', '#']).next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let file = File { name, text, folder: String::new() };
        match includes(&file)?.is_empty() {
            true => Ok(vec![file]),
            false => Err(EngineError::Input(format!("{address} is alone: it can include nothing"))),
        }
    }
}

fn files(names: &[String], read: &mut dyn FnMut(&str) -> io::Result<String>) -> Result<Vec<File>> {
    let (mut files, mut included) = (Vec::new(), 0);
    let included = &mut included;
    if names.is_empty() {
        for name in FILE_NAMES {
            match read(name) {
                Ok(text) => add(File::at_top(name, text), 0, read, (&mut files, included))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(EngineError::io("read", *name)(error)),
            }
        }
        if files.is_empty() {
            return Err(EngineError::Input("couldn't find a bake definition".to_owned()));
        }
    }
    for name in names {
        let text = read(name).map_err(EngineError::io("read", name))?;
        add(File::at_top(name, text), 0, read, (&mut files, included))?;
    }
    Ok(files)
}

/// No file includes another, and that another, further than this.
const MAX_INCLUDED: usize = 16;
/// So many files may be included in a bake, each as often as it is.
const MAX_FILES: usize = 1000;

/// Adds a file after those that it includes.
fn add(
    file: File,
    depth: usize,
    read: &mut dyn FnMut(&str) -> io::Result<String>,
    (files, included): (&mut Vec<File>, &mut usize),
) -> Result<()> {
    for Included { name, folder } in includes(&file)? {
        if depth == MAX_INCLUDED || *included == MAX_FILES {
            let words = format!("{} includes {name}: there is no end to it", file.name);
            return Err(EngineError::Input(words));
        }
        *included += 1;
        let text = read(&name).map_err(EngineError::io("read", &name))?;
        add(File { name, text, folder }, depth + 1, read, (files, included))?;
    }
    files.push(file);
    Ok(())
}

/// The variables of a folder's `.env`, which compose files see unless the environment has them.
pub fn dot_env(folder: &Path) -> Result<BTreeMap<String, String>> {
    let text = match text_of(&folder.join(".env")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(EngineError::io("read", ".env")(error)),
    };
    let pair = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        let value = value.trim();
        let quoted = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        let plain = || value.split(" #").next().unwrap_or_default().trim_end();
        let value = quoted('"').or_else(|| quoted('\'')).unwrap_or_else(plain);
        Some((name.trim().to_owned(), value.to_owned()))
    };
    Ok(text.lines().filter_map(pair).collect())
}

fn text_of(path: &Path) -> io::Result<String> {
    limited(&mut fs::File::open(path)?)
}

/// One byte more than may be is enough to see that it is too much.
fn limited(from: &mut dyn Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_files_are_included_than_may_be() {
        let included = |count: usize| {
            let mut reads = 0;
            let top = "include:\n".to_owned() + &"  - each.yaml\n".repeat(count);
            let read = &mut |name: &str| {
                reads += 1;
                let none = "services: {}\n".to_owned();
                Ok(if name == "each.yaml" { none } else { top.clone() })
            };
            let files = files(&["compose.yaml".to_owned(), "compose.yaml".to_owned()], read);
            (files.is_ok(), reads)
        };
        assert_eq!(included(MAX_FILES / 2), (true, MAX_FILES + 2));
        // Several files that include others share what there is.
        assert_eq!(included(MAX_FILES - 1), (false, MAX_FILES + 2));
    }
}
