//! `mica remote`.

use engine::{
    Client, CopyImage, EngineError, Place, Policy, RemoteEntry, RemoteImage, SignatureForm,
    SigningKey, VerifyingKey,
};
use serde_json::{Value, json};
use spec::{Document, Platform, Reference};

use super::{place, platform, pull::reference, transfer::Transfer};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show;

/// A client that does not ask these hosts who they are, if `--insecure` says so.
pub(super) fn client<'a>(
    context: &Context,
    hosts: impl IntoIterator<Item = &'a str>,
) -> Result<Client, Failure> {
    let mut settings = context.settings()?;
    if context.matches().flag("insecure") {
        settings.registry.insecure.extend(hosts.into_iter().map(str::to_owned));
    }
    Ok(settings.client()?)
}

/// What may be taken out of registries, unless nobody is to ask.
pub(super) fn policy(context: &Context) -> Result<Option<Policy>, Failure> {
    match context.matches().flag("insecure-policy") {
        true => Ok(None),
        false => Ok(context.settings()?.registry.policy()?),
    }
}

/// A name in a registry, with the default tag if it has none.
pub(super) fn tagged(text: &str) -> Result<Reference, Failure> {
    Ok(reference(text)?.with_default_tag())
}

/// `oci:FOLDER[:NAME]`, or a name in a registry.
pub(super) fn end(text: &str) -> Result<Place, Failure> {
    match text.strip_prefix("oci:") {
        Some(rest) => {
            let (folder, name) = place(rest);
            Ok(Place::Layout { folder: folder.into(), name })
        }
        None => Ok(Place::Registry(reference(text.trim_start_matches("docker://"))?)),
    }
}

/// The registry of a place, if it is in one.
pub(super) fn host(place: &Place) -> Option<&str> {
    match place {
        Place::Registry(name) => Some(name.domain()),
        Place::Layout { .. } => None,
    }
}

pub(crate) fn cp(context: &Context) -> Outcome {
    let ui = &context.ui;
    let tagged = |place| match place {
        Place::Registry(name) => Place::Registry(name.with_default_tag()),
        other => other,
    };
    let [from, to] = [0, 1].map(|at| end(&context.names()[at]).map(tagged));
    let (from, to) = (from?, to?);
    let client = client(context, [&from, &to].into_iter().filter_map(host))?;
    let referrers = context.matches().flag("referrers");
    let copy = CopyImage { from, to, platform: platform(context)?, referrers };
    let progress = Transfer::aside(ui, context.matches().flag("quiet"));
    let copied = engine::copy_image(&client, policy(context)?.as_ref(), &copy, &progress)?;
    ui.line(&copied.digest.to_string());
    Ok(0)
}

pub(crate) fn digest(context: &Context) -> Outcome {
    for text in context.names() {
        let name = tagged(text)?;
        let client = client(context, [name.domain()])?;
        context.ui.line(&engine::remote_digest(&client, &name)?.to_string());
    }
    Ok(0)
}

pub(crate) fn rm(context: &Context) -> Outcome {
    for text in context.names() {
        let name = tagged(text)?;
        let client = client(context, [name.domain()])?;
        engine::remove_remote(&client, &name)?;
        context.ui.line(&name.to_string());
    }
    Ok(0)
}

pub(crate) fn sign(context: &Context) -> Outcome {
    let path = context.matches().string("key").filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| Failure::new("a private key is wanted: --key FILE"))?;
    let key = SigningKey::open(path.as_ref(), &|| super::login::key_password(context))?;
    let form = signature_form(context);
    for text in context.names() {
        let name = tagged(text)?;
        let client = client(context, [name.domain()])?;
        context.ui.line(&engine::sign_remote(&client, &name, &key, form)?.to_string());
    }
    Ok(0)
}

/// How a signature is written down.
pub(super) fn signature_form(context: &Context) -> SignatureForm {
    match context.matches().flag("new-bundle-format") {
        true => SignatureForm::Bundle,
        false => SignatureForm::Tag,
    }
}

pub(crate) fn verify(context: &Context) -> Outcome {
    let paths = context.matches().list("key").iter();
    let keys: Vec<VerifyingKey> =
        paths.map(|path| VerifyingKey::open(path.as_ref())).collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err(Failure::new("a public key is wanted: --key FILE"));
    }
    for text in context.names() {
        let name = tagged(text)?;
        let client = client(context, [name.domain()])?;
        context.ui.line(&engine::verify_remote(&client, &name, &keys)?.to_string());
    }
    Ok(0)
}

pub(crate) fn ls(context: &Context) -> Outcome {
    let text = &context.names()[0];
    let (key, found) = match text.strip_suffix('/') {
        Some(host) => {
            let client = client(context, [host])?;
            ("Repository", client.catalog(host).map_err(EngineError::from)?)
        }
        None => {
            let name = reference(text)?;
            if name.tag().is_some() || name.digest().is_some() {
                return Err(Failure::new(format!("{text} is an image, not a repository"))
                    .hint("leave the tag out; `mica remote inspect` shows an image"));
            }
            ("Tag", engine::remote_tags(&client(context, [name.domain()])?, &name)?)
        }
    };
    let rows = found.iter().map(|name| json!({ key: name }));
    if !super::formatted(context, rows)? {
        found.iter().for_each(|name| context.ui.line(name));
    }
    Ok(0)
}

pub(crate) fn inspect(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let name = tagged(&context.names()[0])?;
    let client = client(context, [name.domain()])?;
    let image = RemoteImage::open(&client, &name)?;
    if matches.flag("raw") {
        ui.bytes(&image.document.bytes);
        return Ok(0);
    }
    let wanted = platform(context)?;
    let entry = chosen(&image, wanted.as_ref())?;
    if matches.flag("config") {
        ui.bytes(&entry.config);
        return Ok(0);
    }
    show::document(ui, matches.string("format"), &described(&image, &entry)?)?;
    Ok(0)
}

/// The image that is shown: the only one, the one for a platform, or this machine's.
fn chosen(image: &RemoteImage<'_>, wanted: Option<&Platform>) -> Result<RemoteEntry, Failure> {
    let host = Platform::host();
    let mut images = image.images()?;
    let rank = |entry: &RemoteEntry| {
        entry.descriptor.platform.as_ref().and_then(|own| own.rank(wanted.unwrap_or(&host)))
    };
    let best = (0..images.len()).filter_map(|at| Some((rank(&images[at])?, at))).min();
    match (best, wanted) {
        (Some((_, at)), _) => Ok(images.swap_remove(at)),
        (None, None) if !images.is_empty() => Ok(images.swap_remove(0)),
        (None, _) => {
            let wanted = wanted.unwrap_or(&host).to_string();
            Err(EngineError::NoMatchingManifest { wanted }.into())
        }
    }
}

/// What there is to say of an image, under docker's names.
fn described(image: &RemoteImage<'_>, entry: &RemoteEntry) -> Result<Value, Failure> {
    let malformed =
        |error: serde_json::Error| Failure::new(format!("error: malformed document: {error}"));
    let config: Value = serde_json::from_slice(&entry.config).map_err(malformed)?;
    let manifest: Value = serde_json::from_slice(&entry.manifest.bytes).map_err(malformed)?;
    let manifests = match &image.parsed {
        Document::Index(index) => json!(index.manifests),
        Document::Manifest(_) => Value::Null,
    };
    Ok(json!({
        "Name": image.name.name(),
        "Tag": image.name.tag(),
        "Digest": image.document.digest,
        "MediaType": image.document.media_type.as_str(),
        "Size": image.document.bytes.len(),
        "ManifestDigest": entry.manifest.digest,
        "ConfigDigest": manifest["config"]["digest"],
        "Created": config["created"],
        "Architecture": config["architecture"],
        "Variant": config["variant"],
        "Os": config["os"],
        "Config": config["config"],
        "Layers": manifest["layers"],
        "Annotations": manifest["annotations"],
        "Manifests": manifests,
    }))
}
