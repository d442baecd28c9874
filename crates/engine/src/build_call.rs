//! Questions about a build instead of the build: its checks, its arguments, its targets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::build::BuildError;
use ::build::call::{
    Call, Format, check_document, check_text, describe_document, describe_text, outline, targets,
};
use ::build::graph::{Bases, plan};
use ::build::ignore::{Ignore, file_names};
use ::build::lint::{Finding, Report, Surroundings, check, fix};
use ::build::scope::Inputs;
use ::build::stage::{Base, Stages};
use serde_json::Value;
use spec::{ContainerConfig, ImageConfig};

use crate::Engine;
use crate::build::{context_name, is_repository_source};
use crate::error::{EngineError, Result};
use crate::find::find_for;

/// A Dockerfile with what stands around it.
pub struct Definition {
    /// What messages call it.
    pub name: String,
    /// Where it is; nothing if it came from a stream.
    pub path: Option<PathBuf>,
    /// What is in it.
    pub text: String,
    /// The ignore file of its context, if there is one.
    pub ignore: Option<Ignore>,
    /// Whether it has a context that is a folder.
    pub has_context: bool,
    /// The names of further contexts.
    pub contexts: Vec<String>,
}

/// What a question is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text or the document, with a line's end.
    pub text: String,
    /// Whether nothing is wrong.
    pub succeeded: bool,
}

/// No honest Dockerfile or ignore file is larger.
const MAX_BYTES: u64 = 16 << 20;

impl Definition {
    /// Reads the Dockerfile of a build: of a context's folder, of another file, or of `stream`
    /// where either is `-`.
    pub fn read(context: &str, file: Option<&str>, stream: &mut dyn Read) -> Result<Definition> {
        let folder = (context != "-").then(|| Path::new(context));
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(not_a_folder(folder));
        }
        if file == Some("-") || folder.is_none() && file.is_none() {
            let text = text_of(stream).map_err(EngineError::io("read", "standard input"))?;
            let (name, path) = ("Dockerfile".to_owned(), None);
            let ignore = ignore_file(None, folder)?;
            let (has_context, contexts) = (folder.is_some(), Vec::new());
            return Ok(Definition { name, path, text, ignore, has_context, contexts });
        }
        let path = match (file, folder) {
            (Some(file), _) => PathBuf::from(file),
            (None, Some(folder)) => default_file(folder),
            (None, None) => unreachable!("a stream was read above"),
        };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| "Dockerfile".to_owned());
        let text = fs::File::open(&path).and_then(|mut file| text_of(&mut file));
        let text = text.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => EngineError::Input(format!(
                "failed to read dockerfile: open {name}: no such file or directory"
            )),
            _ => EngineError::Io { doing: "read", path: path.clone(), source: error },
        })?;
        let ignore = ignore_file(Some(&path), folder)?;
        let (path, has_context, contexts) = (Some(path), folder.is_some(), Vec::new());
        Ok(Definition { name, path, text, ignore, has_context, contexts })
    }

    /// Answers a question. `engine` knows base images, where there is a store already.
    pub fn call(
        &self,
        (call, format): (Call, Format),
        inputs: &Inputs,
        engine: Option<&Engine>,
    ) -> Result<Answer> {
        let text = &self.text;
        let known = |answer: std::result::Result<(String, Value), BuildError>| match answer {
            Ok((text, document)) => {
                Answer { text: written(format, text, document), succeeded: true }
            }
            Err(error) => {
                let text = check_text(&Err(error), &self.name, text);
                Answer { text, succeeded: false }
            }
        };
        Ok(match call {
            Call::Outline => known(outline(text, inputs).map(|of| (of.text(), of.document()))),
            Call::Targets => known(targets(text).map(|of| (of.text(), of.document()))),
            Call::Describe => known(Ok((describe_text(), describe_document()))),
            Call::Check => {
                let bases = known_bases(&self.text, inputs, engine)?;
                let mut found = check(text, &self.around(inputs, &bases));
                if let Ok(report) = &mut found {
                    report.refused = self.refused(inputs, &bases).err();
                }
                let is_good = |report: &Report| {
                    report.refused.is_none() && report.warnings().next().is_none()
                };
                let succeeded = found.as_ref().is_ok_and(is_good);
                let shown = check_text(&found, &self.name, text);
                let document = check_document(&found, &self.name, text);
                Answer { text: written(format, shown, document), succeeded }
            }
        })
    }

    /// Refuses what a build of it would be refused for before any step, as far as its bases are known.
    fn refused(
        &self,
        inputs: &Inputs,
        bases: &BTreeMap<String, ImageConfig>,
    ) -> std::result::Result<(), BuildError> {
        let mut stages = Stages::read(&::build::syntax::parse(&self.text)?, inputs)?;
        let contexts: BTreeSet<String> =
            self.contexts.iter().map(|own| context_name(own)).collect();
        let is_context = |name: &str| contexts.contains(&context_name(name));
        // A stage that a context stands for is not carried out, as in a build.
        stages.replace(is_context);
        stages.check_names(is_context)?;
        let is_known =
            |base: &Base| !matches!(base, Base::Image(name) if !bases.contains_key(name));
        if stages.stages.iter().all(|stage| is_known(&stage.base)) {
            plan(stages, inputs, &Known(bases))?;
        }
        Ok(())
    }

    /// Puts right what needs no thinking, in the file itself, and says what that was.
    pub fn fix(&mut self, inputs: &Inputs, engine: Option<&Engine>) -> Result<Vec<Finding>> {
        let Some(path) = self.path.clone() else {
            return Err(EngineError::Input(
                "a Dockerfile from standard input cannot be put right in place".to_owned(),
            ));
        };
        let bases = known_bases(&self.text, inputs, engine)?;
        // A file that cannot be read is left alone; the check says what is wrong with it.
        let Ok((text, fixed)) = fix(&self.text, &self.around(inputs, &bases)) else {
            return Ok(Vec::new());
        };
        if text != self.text {
            replace(&path, &text).map_err(EngineError::io("write", &path))?;
            self.text = text;
        }
        Ok(fixed)
    }

    fn around<'a>(
        &'a self,
        inputs: &'a Inputs,
        bases: &'a BTreeMap<String, ImageConfig>,
    ) -> Surroundings<'a> {
        Surroundings { inputs, ignore: self.ignore.as_ref(), has_context: self.has_context, bases }
    }
}

/// Bases of which all is known beforehand.
struct Known<'a>(&'a BTreeMap<String, ImageConfig>);

impl Bases for Known<'_> {
    fn config(&self, image: &str, _: Option<&str>) -> Option<ContainerConfig> {
        self.0.get(image)?.config.clone()
    }

    fn is_repository(&self, source: &str) -> bool {
        is_repository_source(source)
    }
}

/// What is known of the images that a file names. Nothing is pulled for a question.
pub(crate) fn known_bases(
    text: &str,
    inputs: &Inputs,
    engine: Option<&Engine>,
) -> Result<BTreeMap<String, ImageConfig>> {
    let mut known = BTreeMap::new();
    let document = ::build::syntax::parse(text).ok();
    let stages = document.and_then(|document| Stages::read(&document, inputs).ok());
    let (Some(stages), Some(engine)) = (stages, engine) else { return Ok(known) };
    let images = engine.store().images()?;
    for stage in &stages.stages {
        let Base::Image(name) = &stage.base else { continue };
        let wanted = stage.platform.as_deref().and_then(|text| text.parse().ok());
        // An image for another platform is what one of the checks is about.
        let found = find_for(&images, name, wanted.as_ref());
        let found = found.or_else(|_| find_for(&images, name, None));
        // What cannot be read is as good as not here: who needs it will hear of it.
        if let Ok(config) = found.and_then(|found| engine.config(found.id)) {
            known.insert(name.clone(), config);
        }
    }
    Ok(known)
}

fn written(format: Format, text: String, document: Value) -> String {
    match format {
        Format::Text => text,
        Format::Json => format!("{document:#}\n"),
    }
}

fn not_a_folder(path: &Path) -> EngineError {
    let path = path.display();
    EngineError::Input(match path.to_string().contains("://") {
        true => format!("the context {path} is not a folder of this machine: fetch it first"),
        false => format!("unable to prepare context: path \"{path}\" not found"),
    })
}

/// `Dockerfile`; in small letters where only that is there, as buildx does it.
fn default_file(folder: &Path) -> PathBuf {
    let small = folder.join("dockerfile");
    let usual = folder.join("Dockerfile");
    if !usual.exists() && small.exists() { small } else { usual }
}

fn text_of(from: &mut dyn Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// The ignore file beside the Dockerfile that has its name, or else the context's.
fn ignore_file(dockerfile: Option<&Path>, context: Option<&Path>) -> Result<Option<Ignore>> {
    let Some(context) = context else { return Ok(None) };
    let own = dockerfile.map(|path| PathBuf::from(&file_names(&path.to_string_lossy())[0]));
    for path in own.into_iter().chain([context.join(".dockerignore")]) {
        match fs::File::open(&path).and_then(|mut file| text_of(&mut file)) {
            Ok(text) => {
                let parsed = Ignore::parse(&text);
                let wrong = |error: BuildError| format!("{}: {error}", path.display());
                return parsed.map(Some).map_err(|error| EngineError::Input(wrong(error)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(EngineError::io("read", path)(error)),
        }
    }
    Ok(None)
}

/// Writes a file anew beside itself, so that it is never half there; it keeps its permissions.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut aside = path.clone().into_os_string();
    aside.push(".mica-fix");
    fs::write(&aside, text)?;
    let done = fs::metadata(&path)
        .and_then(|meta| fs::set_permissions(&aside, meta.permissions()))
        .and_then(|()| fs::rename(&aside, &path));
    if done.is_err() {
        // The error that counts is the first.
        let _ = fs::remove_file(&aside);
    }
    done
}
