//! `images`, `rmi`, `tag`, `history`, `import` and `search` elsewhere.

use std::io::Read;

use client::Request;
use engine::{HistoryRow, SearchResult};
use serde_json::Value;
use spec::{Reference, Timestamp};

use super::containers::filters;
use super::transfer::Told;
use crate::commands::images::{Listed, show};
use crate::commands::{history, import, search};
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// What stands where nothing is.
const NONE: &str = "<none>";

pub(super) fn list(context: &Context) -> Outcome {
    let matches = context.matches();
    if matches.flag("tree") {
        return Err(Failure::new("error: --tree is shown of this machine's own images alone"));
    }
    let mut conditions = matches.list("filter").to_vec();
    let pattern = context.names().first().filter(|pattern| !pattern.is_empty());
    conditions.extend(pattern.map(|pattern| format!("reference={pattern}")));
    let request = Request::get("/images/json")
        .flag("all", matches.flag("all"))
        .given("filters", filters(&conditions)?.as_deref());
    let found: Vec<Value> = context.far()?.call(request)?;
    let format = matches.string("format").unwrap_or_default();
    let digests = matches.flag("digests") || format.contains(".Digest");
    show(context, found.iter().flat_map(move |image| Named::all(image, digests)))
}

/// An image under one of its names, as the engine tells of it.
pub(super) struct Named {
    image: Value,
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
}

impl Named {
    /// One for each name; where digests are shown, a tag has that of its repository.
    pub(super) fn all(image: &Value, digests: bool) -> Vec<Named> {
        let names = |field: &str| {
            let all = image[field].as_array().into_iter().flatten().filter_map(Value::as_str);
            let real = all.filter(|name| !name.starts_with(NONE));
            real.map(str::to_owned).collect::<Vec<_>>()
        };
        let named = |repository: Option<&str>, tag: Option<&str>, digest: Option<&str>| Named {
            image: image.clone(),
            repository: repository.map(str::to_owned),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        };
        let (known, tags) = (names("RepoDigests"), names("RepoTags"));
        let known: Vec<_> = known.iter().filter_map(|name| name.split_once('@')).collect();
        let of = |repository: &str| {
            let own = known.iter().find(|(own, _)| *own == repository).filter(|_| digests);
            own.map(|(_, digest)| *digest)
        };
        let tagged = tags.iter().filter_map(|name| name.rsplit_once(':'));
        let mut all: Vec<Named> = tagged
            .map(|(repository, tag)| named(Some(repository), Some(tag), of(repository)))
            .collect();
        // What has digests alone in a repository has a row of its own for it.
        let has_tag = |repository: &str| tags.iter().any(|name| is_tag_of(name, repository));
        let mut last = None;
        for (repository, digest) in known.iter().filter(|(repository, _)| !has_tag(repository)) {
            if digests || last != Some(repository) {
                all.push(named(Some(repository), None, Some(digest)));
            }
            last = Some(repository);
        }
        if all.is_empty() {
            all.push(named(None, None, None));
        }
        all
    }
}

/// Whether a name is a repository with a tag.
fn is_tag_of(name: &str, repository: &str) -> bool {
    name.rsplit_once(':').is_some_and(|(own, _)| own == repository)
}

impl Listed for Named {
    fn id(&self, full: bool) -> String {
        let id = self.image["Id"].as_str().unwrap_or_default();
        let hex = id.split_once(':').map_or(id, |(_, hex)| hex);
        if full { id.to_owned() } else { hex[..hex.len().min(12)].to_owned() }
    }

    fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    fn created(&self) -> Option<Timestamp> {
        self.image["Created"].as_i64().map(|seconds| Timestamp::from_unix(seconds, 0))
    }

    fn size(&self) -> u64 {
        self.image["Size"].as_u64().unwrap_or_default()
    }

    /// Docker's document has none.
    fn platform(&self) -> String {
        String::new()
    }
}

pub(super) fn history(context: &Context) -> Outcome {
    let platform = context.matches().string("platform").filter(|text| !text.is_empty());
    let request = Request::get(format!("/images/{}/history", context.names()[0]))
        .given("platform", platform_document(platform)?.as_deref());
    let told: Vec<Value> = context.far()?.call(request)?;
    let row = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        HistoryRow {
            id: text("Id").parse().ok(),
            tags: Vec::new(),
            created: row["Created"].as_i64().map(|seconds| Timestamp::from_unix(seconds, 0)),
            created_by: text("CreatedBy"),
            comment: text("Comment"),
            size: row["Size"].as_u64().unwrap_or_default(),
        }
    };
    history::show(context, told.iter().map(row).collect())
}

/// A platform in the form in which questions about an image carry it.
pub(super) fn platform_document(text: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let wrong = |error: spec::PlatformError| Failure::new(error.to_string());
    let platform = spec::Platform::parse(text).map_err(wrong)?;
    Ok(Some(serde_json::json!(platform).to_string()))
}

pub(super) fn import(context: &Context) -> Outcome {
    let matches = context.matches();
    let (source, name) = (&context.names()[0], import::wanted_name(context)?);
    let given = |name: &str| matches.string(name).filter(|text| !text.is_empty());
    // What is an address is fetched where the engine is.
    let fetched = source.starts_with("http://") || source.starts_with("https://");
    let mut request = Request::post("/images/create")
        .with("fromSrc", if fetched { source } else { "-" })
        .given("repo", name.as_ref().map(|name| name.familiar_name()).as_deref())
        .given("tag", name.as_ref().and_then(|name| name.tag()))
        .given("message", given("message"))
        .given("platform", given("platform"));
    for change in matches.list("change") {
        request = request.with("changes", change);
    }
    let client = context.far()?;
    let body = match fetched {
        true => client.send(request)?.body,
        false => {
            let mut from: Box<dyn Read> = import::open(context, source)?.reader;
            client.send(request.stream("application/x-tar", &mut *from))?.body
        }
    };
    Told::new(&context.ui, false, false).show(body)?;
    Ok(0)
}

pub(super) fn search(context: &Context) -> Outcome {
    let matches = context.matches();
    let limit = matches.int("limit").filter(|limit| *limit != 0).map(|limit| limit.to_string());
    let request = Request::get("/images/search")
        .with("term", &context.names()[0])
        .given("limit", limit.as_deref())
        .given("filters", filters(matches.list("filter"))?.as_deref());
    search::show(context, context.far()?.call::<Vec<SearchResult>>(request)?)
}

pub(super) fn remove(context: &Context) -> Outcome {
    let (matches, client) = (context.matches(), context.far()?);
    if !matches.list("platform").is_empty() {
        return Err(Failure::new("error: --platform is for this machine's own images alone"));
    }
    let (mut failed, mut fatal) = (false, false);
    for name in context.names() {
        let request = Request::delete(format!("/images/{name}"))
            .flag("force", matches.flag("force"))
            .flag("noprune", matches.flag("no-prune"));
        match client.call::<Vec<Value>>(request) {
            Ok(removed) => {
                for row in &removed {
                    let text =
                        |name: &str| row[name].as_str().map(|text| format!("{name}: {text}"));
                    text("Untagged")
                        .or(text("Deleted"))
                        .iter()
                        .for_each(|line| context.ui.line(line));
                }
            }
            Err(error) => {
                (failed, fatal) = (true, fatal || !error.is_missing());
                Failure::from(error).tell(&context.ui);
            }
        }
    }
    match failed && (fatal || !matches.flag("force")) {
        true => Err(Failure::silent(1)),
        false => Ok(0),
    }
}

pub(super) fn tag(context: &Context) -> Outcome {
    let [source, target] = context.names() else {
        return Err(Failure::new("two names are needed"));
    };
    let name = Reference::parse(target).map_err(|error| Failure::new(error.to_string()))?;
    let name = name.with_default_tag();
    let request = Request::post(format!("/images/{source}/tag"))
        .with("repo", name.familiar_name())
        .with("tag", name.tag().unwrap_or("latest"));
    context.far()?.tell(request)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_a_digest_alone_has_a_row() {
        let rows = |tags: &[&str], digests: &[&str], shown: bool| {
            let image = json!({ "RepoTags": tags, "RepoDigests": digests });
            let text = |part: Option<&str>| part.unwrap_or("-").to_owned();
            let row = |row: Named| {
                [text(row.repository()), text(row.tag()), text(row.digest())].join(" ")
            };
            Named::all(&image, shown).into_iter().map(row).collect::<Vec<_>>()
        };
        assert_eq!(rows(&["a:1"], &["a@x"], false), ["a 1 -"]);
        assert_eq!(rows(&["a:1"], &["a@x", "b@y"], true), ["a 1 x", "b - y"]);
        assert_eq!(rows(&[], &["b@y", "b@z"], false), ["b - y"]);
        assert_eq!(rows(&[], &["b@y", "b@z"], true), ["b - y", "b - z"]);
        assert_eq!(rows(&[], &[], true), ["- - -"]);
    }
}
