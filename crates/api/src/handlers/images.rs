//! Images that are here.

use engine::{ImageFilter, Loaded};
use engine::{
    Import, ImportSource, ListImages, Load, LoadSource, PruneImages, RemoveImages, Removed, Save,
    SaveTarget,
};
use serde_json::{Value, json};
use spec::{ImageId, Platform, Reference, Timestamp};

use crate::call::Call;
use crate::filters::Filters;
use crate::gates::brought;
use crate::progress::JsonProgress;
use crate::refusal::Refusal;
use crate::reply::{Reply, piped};

/// Filters of a list, and those that pruning has.
const LISTED: &[&str] = &["before", "dangling", "label", "reference", "since", "until"];
const PRUNED: &[&str] = &["dangling", "label", "label!", "until"];

/// What is a container's alone and stood in an image's configuration before 1.50: texts that were
/// empty, and switches that were off.
const EMPTY: [&str; 3] = ["Hostname", "Domainname", "Image"];
const OFF: [&str; 6] =
    ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"];

fn filters(call: &Call, known: &[&str]) -> Result<Vec<ImageFilter>, Refusal> {
    let filters = Filters::of(&call.query)?;
    filters.check(known)?;
    Ok(filters.lines().iter().map(|line| ImageFilter::parse(line)).collect::<Result<_, _>>()?)
}

/// Whether it is asked what images share.
fn shares(call: &Call) -> bool {
    call.since(brought::SHARED_SIZE) && call.query.flag("shared-size")
}

pub(crate) fn list(call: Call) -> Result<Reply, Refusal> {
    let mut list = ListImages {
        all: call.query.flag("all"),
        filters: filters(&call, LISTED)?,
        ..ListImages::default()
    };
    if !call.since(brought::IMAGE_FILTERS) {
        list.pattern = call.query.given("filter").map(str::to_owned);
    }
    let engine = call.engine()?;
    let mut shown = engine.image_summaries(&list)?;
    let users = call
        .since(brought::CONTAINERS_OF_IMAGES)
        .then(|| engine.containers_of_images())
        .transpose()?;
    let usage = shares(&call).then(|| engine.image_usage()).transpose()?;
    for image in &mut shown {
        let id = image["Id"].as_str().and_then(|id| id.parse::<ImageId>().ok());
        if let Some(users) = &users {
            image["Containers"] = json!(id.and_then(|id| users.get(&id)).unwrap_or(&0));
        }
        if let Some(usage) = &usage {
            let own = id.and_then(|id| usage.images.get(&id)).copied().unwrap_or_default();
            image["SharedSize"] = json!(own.shared);
        }
        if !call.since(brought::ONE_SIZE) {
            image["VirtualSize"] = image["Size"].clone();
        }
        if !call.since(brought::NO_NAMES) && image["RepoTags"] == json!([]) {
            image["RepoTags"] = json!(["<none>:<none>"]);
            image["RepoDigests"] = json!(["<none>@<none>"]);
        }
    }
    Ok(Reply::json(&shown))
}

/// The platform that a request names: JSON since it is one, words before.
pub(crate) fn platform(call: &Call) -> Result<Option<Platform>, Refusal> {
    match call.query.given("platform") {
        Some(text) => read_platform(text).map(Some),
        None => Ok(None),
    }
}

fn read_platform(text: &str) -> Result<Platform, Refusal> {
    let wrong = |why: String| Refusal::bad(format!("failed to parse platform: {why}"));
    match text.starts_with('{') {
        true => {
            let read: Platform =
                spec::go_json::from_slice(text.as_bytes(), spec::go_json::Behind::Refused)
                    .map_err(|e| wrong(e.to_string()))?;
            Ok(read.normalized())
        }
        false => Platform::parse(text).map_err(|error| wrong(error.to_string())),
    }
}

/// The same, where clients of older versions have no say in it.
fn platform_since(call: &Call, minor: u32) -> Result<Option<Platform>, Refusal> {
    if call.since(minor) { platform(call) } else { Ok(None) }
}

pub(crate) fn inspect(call: Call) -> Result<Reply, Refusal> {
    let platform = platform_since(&call, brought::PLATFORM_OF_INSPECT)?;
    let engine = call.engine()?;
    let mut document = engine.inspect(call.parameter("name"), platform.as_ref())?;
    if !call.since(brought::SLIM_IMAGE_CONFIG) {
        EMPTY.iter().for_each(|name| document["Config"][name] = json!(""));
        OFF.iter().for_each(|name| document["Config"][name] = json!(false));
    }
    // docker-compose of old looks for an image's volumes where they stood in its days, whatever
    // version it speaks. Where they stand no longer it fails.
    if !call.since(brought::NO_CONTAINER_CONFIG)
        || call.header("user-agent").starts_with("docker-compose/1.")
    {
        document["Container"] = json!("");
        document["ContainerConfig"] = document["Config"].clone();
    }
    if !call.since(brought::ONE_SIZE) {
        document["VirtualSize"] = document["Size"].clone();
    }
    Ok(Reply::json(&document))
}

pub(crate) fn history(call: Call) -> Result<Reply, Refusal> {
    let platform = platform_since(&call, brought::PLATFORM_OF_HISTORY)?;
    let engine = call.engine()?;
    let rows = engine.history(call.parameter("name"), platform.as_ref())?;
    let document = |row: &engine::HistoryRow| {
        json!({
            "Id": row.id.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
            "Created": row.created.map_or(0, |time| time.unix_seconds()),
            "CreatedBy": row.created_by,
            "Tags": if row.tags.is_empty() { Value::Null } else { json!(row.tags) },
            "Size": row.size,
            "Comment": row.comment,
        })
    };
    Ok(Reply::json(&rows.iter().map(document).collect::<Vec<_>>()))
}

pub(crate) fn tag(call: Call) -> Result<Reply, Refusal> {
    let (repository, tag) = (call.query.text("repo"), call.query.text("tag"));
    let name = match Reference::parse(repository) {
        _ if tag.is_empty() => repository.to_owned(),
        // Its own tag gives way.
        Ok(name) if name.tag().is_some() && name.digest().is_none() => {
            format!("{}:{tag}", name.familiar_name())
        }
        _ => format!("{repository}:{tag}"),
    };
    call.engine()?.tag(call.parameter("name"), &name)?;
    Ok(Reply::status(201))
}

pub(crate) fn remove(call: Call) -> Result<Reply, Refusal> {
    let platforms = call.query.list("platforms");
    let platforms = platforms.iter().map(|text| read_platform(text));
    let request = RemoveImages {
        names: vec![call.parameter("name").to_owned()],
        force: call.query.flag("force"),
        no_prune: call.query.flag("noprune"),
        platforms: platforms.collect::<Result<_, _>>()?,
    };
    let mut shown = Vec::new();
    for removed in call.engine()?.remove(&request)? {
        shown.extend(removed?.iter().map(Removed::document));
    }
    Ok(Reply::json(&shown))
}

pub(crate) fn prune(call: Call) -> Result<Reply, Refusal> {
    let filters = filters(&call, PRUNED)?;
    let request = PruneImages { all: false, filters, compressed: false };
    let pruned = call.engine()?.prune_images(&request)?;
    let removed: Vec<Value> = pruned.removed.iter().map(Removed::document).collect();
    let removed = if removed.is_empty() { Value::Null } else { json!(removed) };
    Ok(Reply::json(&json!({ "ImagesDeleted": removed, "SpaceReclaimed": pruned.bytes })))
}

/// One image, or several, as an archive.
pub(crate) fn save(call: Call) -> Result<Reply, Refusal> {
    let images = match call.parameter("name") {
        "" => call.query.list("names"),
        name => vec![name.to_owned()],
    };
    if images.is_empty() {
        return Err(Refusal::bad("no image names given"));
    }
    let save = Save { images, platform: platform(&call)?, called: None };
    let engine = call.engine()?;
    Ok(Reply::stream("application/x-tar", move |sink| {
        piped(sink, |file| {
            engine.save(&save, SaveTarget::Stream(file))?;
            Ok(())
        })
    }))
}

pub(crate) fn load(mut call: Call) -> Result<Reply, Refusal> {
    let engine = call.engine()?;
    let platforms = platform(&call)?.into_iter().collect();
    let quiet = call.query.flag_or("quiet", false);
    let source = LoadSource::Stream(Box::new(call.body.take_all()));
    Ok(Reply::stream("application/json", move |sink| {
        // Docker has said that all is well before it reads; what is wrong comes as a line.
        sink.begin();
        let progress = JsonProgress::new(sink, quiet);
        let loaded = engine.load(Load { source, platforms, called: None }, &progress);
        let loaded = loaded.map(|all| all.iter().for_each(|one| tell_loaded(&progress, one)));
        progress.end(loaded.map_err(Refusal::from))
    }))
}

fn tell_loaded(progress: &JsonProgress<'_>, loaded: &Loaded) {
    let line = |text: String| progress.tell(&json!({ "stream": text }));
    for (name, id) in &loaded.displaced {
        line(format!(
            "The image {} already exists, renaming the old one with ID {id} to empty string\n",
            name.familiar()
        ));
    }
    for name in &loaded.names {
        line(format!("Loaded image: {}\n", name.familiar()));
    }
    if loaded.names.is_empty() {
        line(format!("Loaded image ID: {}\n", loaded.id));
    }
}

/// `POST /images/create` with `fromSrc`: a file system becomes an image.
pub(crate) fn import(mut call: Call) -> Result<Reply, Refusal> {
    let query = &call.query;
    let (repository, tag) = (query.text("repo"), query.text("tag"));
    let name = match repository.is_empty() {
        true => None,
        false => Some(import_name(repository, tag)?),
    };
    let from = query.text("fromSrc").to_owned();
    if from.is_empty() {
        return Err(Refusal::bad("fromImage or fromSrc says what an image is to be made of"));
    }
    let (changes, platform) = (query.list("changes"), platform(&call)?);
    let message = query.given("message").map(str::to_owned);
    let engine = call.engine()?;
    let body = call.body.take_all();
    Ok(Reply::stream("application/json", move |sink| {
        let progress = JsonProgress::new(sink, false);
        let import = || -> Result<(), Refusal> {
            let source = match from.as_str() {
                "-" => ImportSource { reader: Box::new(body), bytes: None, name: from },
                _ => {
                    progress.tell(&json!({ "status": format!("Downloading from {from}") }));
                    let url = if from.contains("://") { from } else { format!("http://{from}") };
                    let (reader, bytes) = engine::fetch(engine.settings(), &url)?;
                    ImportSource { reader, bytes, name: url }
                }
            };
            let created = Timestamp::now();
            let import = Import { source, name, changes, message, platform, created };
            let id = engine.import(import, &engine::Quiet)?;
            progress.tell(&json!({ "status": id.to_string() }));
            Ok(())
        };
        let imported = import();
        progress.end(imported)
    }))
}

fn import_name(repository: &str, tag: &str) -> Result<Reference, Refusal> {
    let wrong = |error: spec::ReferenceError| Refusal::bad(error.to_string());
    let name = Reference::parse(repository).map_err(wrong)?;
    if name.digest().is_some() {
        return Err(Refusal::bad("cannot import digest reference"));
    }
    match tag.is_empty() {
        true => Ok(name.with_default_tag()),
        false => name.with_tag(tag).map_err(wrong),
    }
}
