//! `mica image sync`.

use std::fs;

use engine::{Place, SyncImages, SyncOutcome, SyncTarget, Synced};
use serde_json::json;

use super::{platform, reason, remote, transfer::Transfer};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::show;

pub(crate) fn run(context: &Context) -> Outcome {
    let (matches, ui) = (context.matches(), &context.ui);
    let (to, named) = context.names().split_last().expect("the grammar asks for a word");
    let mut texts = named.to_vec();
    for path in matches.list("file") {
        texts.extend(listed(path)?);
    }
    if texts.is_empty() {
        return Err(Failure::new("nothing is named that could be copied")
            .hint("name images, repositories or HOST/ before the destination, or a --file"));
    }
    let (mut from, mut hosts) = (Vec::new(), Vec::new());
    for text in &texts {
        match text.strip_suffix('/').filter(|_| !text.starts_with("oci:")) {
            Some(host) => hosts.push(host.to_owned()),
            None => from.push(remote::end(text)?),
        }
    }
    let to = match to.strip_prefix("oci:") {
        Some(folder) => SyncTarget::Folder(folder.into()),
        None => SyncTarget::Registry(to.clone()),
    };
    let asked: Vec<&str> = asked(&from, &hosts, &to);
    let client = remote::client(context, asked)?;
    let policy = remote::policy(context)?;
    let sync = SyncImages {
        from,
        hosts,
        to,
        tags: matches.string("tags").map(str::to_owned),
        platform: platform(context)?,
        referrers: matches.flag("referrers"),
        dry_run: matches.flag("dry-run"),
        keep_going: matches.flag("keep-going"),
    };
    let format = matches.string("format").filter(|text| !text.is_empty());
    let progress = Transfer::aside(ui, matches.flag("quiet") || format.is_some());
    let mut shown = Ok(());
    let mut told = |synced: &Synced| {
        match format {
            None => ui.line(&line(synced)),
            Some(format) => {
                let one = show::document(ui, Some(format), &document(synced));
                shown = std::mem::replace(&mut shown, Ok(())).and(one);
            }
        }
        if let Err(error) = &synced.outcome {
            ui.warn(&format!("error: {}: {error}", synced.from));
        }
    };
    engine::sync_images(&client, policy.as_ref(), &sync, &progress, &mut told)?;
    shown?;
    Ok(0)
}

/// The sources in a file: one a line, with comments.
fn listed(path: &str) -> Result<Vec<String>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("open {path}: {}", reason(&error))))?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The hosts that will be asked.
fn asked<'a>(from: &'a [Place], hosts: &'a [String], to: &'a SyncTarget) -> Vec<&'a str> {
    let own = match to {
        SyncTarget::Registry(prefix) => prefix.split('/').next(),
        SyncTarget::Folder(_) => None,
    };
    from.iter()
        .filter_map(remote::host)
        .chain(hosts.iter().map(String::as_str))
        .chain(own)
        .collect()
}

fn line(synced: &Synced) -> String {
    let Synced { from, to, .. } = synced;
    match &synced.outcome {
        Ok(SyncOutcome::Unchanged(_)) => format!("{to}: up to date"),
        Ok(SyncOutcome::Copied(digest, _)) => format!("{to}: copied {digest}"),
        Ok(SyncOutcome::Missing) => format!("{to}: would be copied from {from}"),
        Err(_) => format!("{to}: failed"),
    }
}

fn document(synced: &Synced) -> serde_json::Value {
    let (status, digest, bytes) = match &synced.outcome {
        Ok(SyncOutcome::Unchanged(digest)) => ("unchanged", Some(digest), 0),
        Ok(SyncOutcome::Copied(digest, bytes)) => ("copied", Some(digest), *bytes),
        Ok(SyncOutcome::Missing) => ("missing", None, 0),
        Err(_) => ("failed", None, 0),
    };
    let (from, to) = (synced.from.to_string(), synced.to.to_string());
    json!({ "Source": from, "Destination": to, "Status": status, "Digest": digest, "MovedBytes": bytes })
}
