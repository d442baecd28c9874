//! Where operations take files from: images, folders of the client, the web, repositories.

use std::collections::HashMap;

use engine::steps::{CopyFlags, Exact, Op as StepOp, Source, StepId};

use super::{Folder, Given, Layout, Operation, Planner, Referred, Results, one, results};
use spec::Digest;

use crate::buildkit::client::Choice;
use crate::buildkit::messages::ops::SourceOp;
use crate::wire::Status;

/// What steps call what they copy from.
pub(super) const COPIED: &str = "source";
/// What a file of the web is called that has no name.
const DOWNLOAD: &str = "download";

/// Reads `NAME[:TAG]@DIGEST`: a name, and the digest of the image that it means.
pub(in crate::buildkit) fn image_in_store(text: &str) -> Result<(String, Digest), Status> {
    let wrong = || Status::invalid(format!("{text:?} is no image by its digest"));
    let (name, digest) = text.split_once('@').ok_or_else(wrong)?;
    let digest = digest.parse().map_err(|_| wrong())?;
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    Ok((name.to_owned(), digest))
}

impl Planner<'_> {
    pub(super) fn source(&mut self, own: &Operation, source: &SourceOp) -> Result<Results, Status> {
        let identifier = source.identifier.as_str();
        let (scheme, rest) = identifier
            .split_once("://")
            .ok_or_else(|| Status::invalid(format!("a source without a scheme: {identifier:?}")))?;
        let title = self.title(own, || identifier.to_owned());
        match scheme {
            "docker-image" => self.image(own, rest, source, title).map(one),
            "oci-layout" => self.layout(own, rest, source, title).map(one),
            "local" => self.folder(rest, source, title),
            results::SCHEME => self.other_build(rest, title).map(one),
            "git" => self.repository(rest, source, title).map(one),
            "http" | "https" => self.download(identifier, source, title).map(one),
            other => Err(Status::unsupported(format!(
                "sources of {other}:// are not read: {identifier}"
            ))),
        }
    }

    fn image(
        &mut self,
        own: &Operation,
        name: &str,
        source: &SourceOp,
        title: String,
    ) -> Result<StepId, Status> {
        self.needs.pull |=
            source.attributes.get("image.resolvemode").is_some_and(|mode| mode == "pull");
        let platform = own.platform()?.map(|platform| platform.to_string());
        let asked = (name.to_owned(), platform.clone());
        if let Some(known) = self.images.get(&asked) {
            return Ok(*known);
        }
        let op = StepOp::Base { image: name.to_owned(), platform };
        let step = self.add(op, None, Vec::new(), title);
        self.images.insert(asked, step);
        Ok(step)
    }

    /// An image of one of the client's stores.
    fn layout(
        &mut self,
        own: &Operation,
        name: &str,
        source: &SourceOp,
        title: String,
    ) -> Result<StepId, Status> {
        if source.attributes.get("oci.layerlimit").is_some_and(|text| !text.is_empty()) {
            return Err(Status::unsupported("images with some of their layers are not read"));
        }
        let (name, digest) = image_in_store(name)?;
        let store = source.attributes.get("oci.store").filter(|store| !store.is_empty());
        let (store, platform) = (store.cloned().unwrap_or(name), own.platform()?);
        let called = format!("layout-{}", self.needs.layouts.len());
        let asked = platform.as_ref().map(ToString::to_string);
        let platforms = platform.into_iter().collect();
        let op = StepOp::Base { image: called.clone(), platform: asked };
        let step = self.add(op, None, Vec::new(), title.clone());
        self.needs.layouts.push((called, Layout { store, digest, title, platforms }));
        Ok(step)
    }

    /// What another build gives.
    fn other_build(&mut self, rest: &str, title: String) -> Result<StepId, Status> {
        let referred = Referred::parse(rest);
        let referred = referred.ok_or_else(|| Status::invalid(format!("no result {rest:?}")))?;
        let called = format!("result-{}", self.needs.results.len());
        let op = StepOp::Base { image: called.clone(), platform: None };
        self.needs.results.push((called, referred));
        Ok(self.add(op, None, Vec::new(), title))
    }

    /// A folder of the client. What only is copied from it is read where it lies.
    fn folder(&mut self, name: &str, source: &SourceOp, title: String) -> Result<Results, Status> {
        let list = |name: &str| -> Result<Vec<String>, Status> {
            let text = source.attributes.get(name).filter(|text| !text.is_empty());
            let list = text.map(|text| serde_json::from_str::<Option<_>>(text)).transpose();
            let list = list.map_err(|error| Status::invalid(format!("{name}: {error}")))?;
            Ok(list.flatten().unwrap_or_default())
        };
        let choice = Choice {
            include: list("local.includepattern")?,
            exclude: list("local.excludepatterns")?,
            follow: list("local.followpaths")?,
        };
        let own = format!("local-{}", self.needs.folders.len());
        let op = StepOp::Base { image: own.clone(), platform: None };
        let step = self.add(op, None, Vec::new(), title.clone());
        self.needs.folders.push((own, Folder { name: name.to_owned(), title, choice }));
        Ok(HashMap::from([(0, Given::Folder(step, None))]))
    }

    /// A folder as a tree of its own.
    pub(super) fn whole(&mut self, folder: StepId) -> StepId {
        let flags = CopyFlags {
            from: Some(COPIED.to_owned()),
            exact: Some(Exact { is_literal: true, ..Exact::default() }),
            ..CopyFlags::default()
        };
        let op = StepOp::Copy {
            flags,
            sources: vec![Source::Path("/".to_owned())],
            target: "/".to_owned(),
            is_add: false,
        };
        let (nothing, title) = (self.nothing(), self.steps[folder].title.clone());
        self.add(op, Some(nothing), vec![folder], title)
    }

    fn repository(
        &mut self,
        rest: &str,
        source: &SourceOp,
        title: String,
    ) -> Result<StepId, Status> {
        let (address, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let full = source.attributes.get("git.fullurl").filter(|url| !url.is_empty());
        let full = full.cloned().unwrap_or_else(|| format!("https://{address}"));
        let mut url = full.split('#').next().unwrap_or_default().to_owned();
        if !engine::is_repository(&url) {
            url.push_str(".git");
        }
        if !fragment.is_empty() {
            url = format!("{url}#{fragment}");
        }
        let keeps = source.attributes.get("git.keepgitdir").is_some_and(|value| value == "true");
        let checksum = source.attributes.get("git.checksum").filter(|text| !text.is_empty());
        let flags = CopyFlags {
            keep_git_dir: Some(keeps),
            checksum: checksum.cloned(),
            ..CopyFlags::default()
        };
        Ok(self.added(flags, url, "/".to_owned(), title))
    }

    fn download(&mut self, url: &str, source: &SourceOp, title: String) -> Result<StepId, Status> {
        let text = |name: &str| source.attributes.get(name).filter(|text| !text.is_empty());
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let last = path.splitn(4, '/').nth(3).and_then(|path| path.rsplit('/').next());
        let last = last.filter(|name| !name.is_empty()).unwrap_or(DOWNLOAD);
        let name = text("http.filename").map_or(last, String::as_str);
        if name.contains('/') || matches!(name, "." | "..") {
            return Err(Status::invalid(format!("{name:?} is no file's name")));
        }
        let mode = match text("http.perm") {
            None => None,
            Some(text) => {
                let digits = text.trim_start_matches("0o");
                let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777);
                Some(mode.ok_or_else(|| Status::invalid(format!("http.perm {text:?}")))?)
            }
        };
        let owner = match (text("http.uid"), text("http.gid")) {
            (None, None) => None,
            (uid, gid) => {
                let number = |id: Option<&String>| id.map_or("0", String::as_str).parse::<u32>();
                let wrong = |_| Status::invalid("http.uid or http.gid is no number");
                Some(format!("{}:{}", number(uid).map_err(wrong)?, number(gid).map_err(wrong)?))
            }
        };
        let flags = CopyFlags {
            chown: owner,
            chmod: mode.map(|mode| format!("{mode:o}")),
            checksum: text("http.checksum").cloned(),
            unpack: Some(false),
            ..CopyFlags::default()
        };
        Ok(self.added(flags, url.to_owned(), format!("/{name}"), title))
    }

    /// What an address gives, in a tree of its own.
    fn added(&mut self, flags: CopyFlags, url: String, target: String, title: String) -> StepId {
        let op = StepOp::Copy { flags, sources: vec![Source::Path(url)], target, is_add: true };
        let nothing = self.nothing();
        self.add(op, Some(nothing), Vec::new(), title)
    }
}
