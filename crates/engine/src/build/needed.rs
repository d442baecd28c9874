//! Which files of a context a Dockerfile can mean, known before the context is here: a client need
//! not send the others.

use ::build::instruction::{Kind, MountKind, Source};
use ::build::scope::Inputs;
use ::build::stage::{Base, Stages};
use spec::Platform;

use super::context::is_remote_context;
use super::request::BuildRequest;
use crate::Engine;
use crate::build_call::known_bases;

impl Engine {
    /// The paths and patterns of a context that a Dockerfile names. Nothing where it can be any:
    /// where names have variables, or a base that is not here may have instructions of its own.
    pub fn context_paths(&self, text: &str, request: &BuildRequest) -> Option<Vec<String>> {
        let platform = request.platforms.first().cloned().unwrap_or_else(Platform::host);
        let inputs = Inputs {
            arguments: request.arguments.clone(),
            target_platform: platform,
            build_platform: Platform::host(),
            target: request.target.clone(),
        };
        let read = |text| Stages::read(&::build::syntax::parse(text)?, &inputs);
        let Ok(mut stages) = read(text) else {
            // What is wrong with it is told without a file of the context.
            return Some(Vec::new());
        };
        stages.replace(|name| request.context(name).is_some());
        let known = known_bases(text, &inputs, Some(self)).ok()?;
        for stage in &stages.stages {
            let Base::Image(name) = &stage.base else { continue };
            let own = known.get(name).and_then(|config| config.config.as_ref());
            let is_known = known.contains_key(name)
                && own.is_none_or(|config| config.on_build.is_empty())
                && !request.pull
                && request.context(name).is_none();
            if !is_known {
                return None;
            }
        }
        let mut paths = Vec::new();
        for instruction in stages.stages.iter().flat_map(|stage| &stage.instructions) {
            match &instruction.kind {
                Kind::Copy { flags, sources, .. } | Kind::Add { flags, sources, .. } => {
                    let own = sources.iter().filter(|_| flags.from.is_none());
                    for source in own {
                        let Source::Path(path) = source else { continue };
                        paths.extend(plain(path)?);
                    }
                }
                Kind::Run(run) => {
                    let binds = run.mounts.iter().filter(|mount| mount.kind == MountKind::Bind);
                    for mount in binds.filter(|mount| mount.from.is_none()) {
                        paths.extend(plain(mount.source.as_deref().unwrap_or("."))?);
                    }
                }
                // What stands after it is for other builds.
                _ => {}
            }
        }
        Some(paths)
    }
}

/// A path as a walk has it, none for an address; nothing at all if it may be anything.
fn plain(path: &str) -> Option<Option<String>> {
    if path.contains('$') {
        return None;
    }
    if is_remote_context(path) {
        return Some(None);
    }
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    let clean = parts.collect::<Vec<_>>().join("/");
    let is_inside = !clean.is_empty() && !clean.split('/').any(|part| part == "..");
    is_inside.then_some(Some(clean))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn paths_are_known_or_may_be_anything() {
        assert_eq!(plain("./a//b/"), Some(Some("a/b".to_owned())));
        assert_eq!(plain("/src/*.c"), Some(Some("src/*.c".to_owned())));
        assert_eq!(plain("https://example.com/a"), Some(None));
        for anything in [".", "/", "", "$X", "a/${Y}", "a/../.."] {
            assert_eq!(plain(anything), None, "{anything}");
        }
    }
}
