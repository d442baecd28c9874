//! `mica push`.

use engine::{LayerCoding, PushImage, Pushed, Repack, SigningKey};
use spec::Reference;

use super::{platform, pull::reference, remote, transfer::Transfer};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

pub(crate) fn run(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let (all_tags, quiet) = (matches.flag("all-tags"), matches.flag("quiet"));
    let name = asked(context)?;
    let (platform, repack) = (platform(context)?, repack(context)?);
    let push = PushImage { name: name.clone(), all_tags, platform, repack };
    let engine = context.engine()?;
    let client = engine.settings().client()?;
    if !quiet {
        ui.line(&format!("The push refers to repository [{}]", name.name()));
    }
    let key = matches.string("sign-key").filter(|path| !path.is_empty());
    let key =
        key.map(|path| SigningKey::open(path.as_ref(), &|| super::login::key_password(context)));
    let key = key.transpose()?;
    let mut tags = Vec::new();
    let mut tell = |pushed: &Pushed| {
        tags.push(pushed.tag.clone());
        if !quiet {
            let Pushed { tag, digest, bytes, .. } = pushed;
            ui.line(&format!("{tag}: digest: {digest} size: {bytes}"));
        }
    };
    let pushed = engine.push(&client, &push, &Transfer::new(ui, quiet), &mut tell);
    pushed.map_err(Failure::streamed)?;
    if let Some(key) = &key {
        for tag in &tags {
            let named = name.with_tag(tag).map_err(|error| Failure::new(error.to_string()))?;
            let digest =
                engine::sign_remote(&client, &named, key, remote::signature_form(context))?;
            if !quiet {
                ui.line(&format!("{tag}: signed {digest}"));
            }
        }
    }
    if quiet {
        ui.line(&name.to_string());
    }
    Ok(0)
}

/// How layers are to be compressed, if somebody says so.
fn repack(context: &Context) -> Result<Option<Repack>, Failure> {
    let matches = context.matches();
    let word = matches.string("compression-format").filter(|word| !word.is_empty());
    let coding = word.map(|word| {
        let unknown = || Failure::new(format!("compression format {word:?} is not known"));
        LayerCoding::parse(word).ok_or_else(|| unknown().hint(LayerCoding::WORDS))
    });
    let coding = coding.transpose()?;
    let level = matches.string("compression-level").filter(|level| !level.is_empty());
    let level = level.map(|text| {
        // Without a format it depends on what the layers are.
        let possible = match coding {
            Some(coding) => vec![coding],
            None => vec![LayerCoding::Gzip, LayerCoding::Zstd],
        };
        let fits = |level: &i32| possible.iter().any(|coding| coding.has_level(*level));
        let wrong = || Failure::new(format!("there is no compression level {text:?}"));
        text.parse().ok().filter(fits).ok_or_else(wrong)
    });
    let (level, force) = (level.transpose()?, matches.flag("force-compression"));
    let is_asked = coding.is_some() || level.is_some() || force;
    Ok(is_asked.then_some(Repack { coding, level, force }))
}

/// The name of what is to be pushed, with docker's words about a tag that nobody gave.
pub(crate) fn asked(context: &Context) -> Result<Reference, Failure> {
    let (matches, ui) = (context.matches(), &context.ui);
    let (all_tags, quiet) = (matches.flag("all-tags"), matches.flag("quiet"));
    let name = reference(&context.names()[0])?;
    if all_tags && name.tag().is_some() {
        return Err(Failure::new("tag can't be used with --all-tags/-a"));
    }
    if name.digest().is_some() {
        return Err(Failure::new("cannot push a digest reference"));
    }
    if name.tag().is_none() && !all_tags && !quiet {
        ui.line("Using default tag: latest");
    }
    Ok(if all_tags { name } else { name.with_default_tag() })
}
