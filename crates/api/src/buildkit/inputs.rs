//! What a build begins with besides the client's folders: images of the client's own stores, and what
//! other graphs and other builds give.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{BuildRequest, BuildSession, SentFolder};

use super::asked::{Asked, CONFIG};
use super::build::Work;
use super::gateway;
use super::llb::{Layout, Referred, image_in_store};
use super::messages::ops::Definition;
use super::ways::failed;
use crate::wire::Status;

/// Builds that begin with each other: no row of them is longer.
const MAX_DEPTH: usize = 32;
/// No graph is longer.
const MAX_GRAPH_BYTES: u64 = 64 << 20;
/// What a graph is built with of what its client says for the whole build.
const KEPT: [&str; 8] = [
    "platform",
    "image-resolve-mode",
    "add-hosts",
    "force-network-mode",
    "shm-size",
    "ulimit",
    "cgroup-parent",
    "build-arg:SOURCE_DATE_EPOCH",
];

impl Work<'_> {
    /// `oci-layout://STORE@DIGEST` as a context: the address under which the engine finds the image.
    pub(super) fn layout_context(
        &self,
        (name, value): (&str, &str),
        kept: &mut Vec<SentFolder>,
    ) -> Result<String, Status> {
        let (store, digest) = image_in_store(value.trim_start_matches("//"))?;
        let title = format!("[context {name}] load from client");
        let platforms = self.asked.request()?.platforms;
        self.layout(&Layout { store, digest, title, platforms }, kept)
    }

    /// Takes in an image, and gives the address under which the engine finds it.
    pub(super) fn layout(
        &self,
        wanted: &Layout,
        kept: &mut Vec<SentFolder>,
    ) -> Result<String, Status> {
        let Layout { store, digest, title, platforms } = wanted;
        let taken = self.watch.step(title, |_| self.take_image(store, digest, platforms));
        let (sent, digest) = taken?;
        let address = format!("oci-layout://{}@{digest}", sent.files().display());
        kept.push(sent);
        Ok(address)
    }

    /// Builds what a context or a source stands for, and gives the address under which other builds
    /// of the session find it.
    pub(super) fn input(
        &self,
        session: &BuildSession<'_>,
        called: String,
        graph: &Arc<Definition>,
        config: Option<Vec<u8>>,
    ) -> Result<String, Status> {
        self.check_depth()?;
        let asked = match Referred::of(graph) {
            Some(referred) => {
                let other = gateway::result_of(self.app, &referred)?;
                let config = config.or_else(|| other.config.clone());
                Asked { config, ..other }
            }
            None => {
                let attributes = self.asked.attributes.clone().into_iter();
                let attributes = attributes.filter(|(name, _)| KEPT.contains(&name.as_str()));
                Asked {
                    frontend: String::new(),
                    attributes: attributes.collect(),
                    definition: Some(graph.clone()),
                    config,
                    exporters: Vec::new(),
                    exports: Vec::new(),
                    ..self.asked.clone()
                }
            }
        };
        asked.check(self.app)?;
        let mut own = Work::new(self.app, &asked, self.watch)?;
        own.depth = self.depth + 1;
        let address = format!("target:{called}");
        own.prepare(session, |input, request| {
            let request = BuildRequest { called: Some(called), ..request };
            session.build(input, &request).map(drop).map_err(|failure| failed(&failure))
        })?;
        Ok(address)
    }

    fn check_depth(&self) -> Result<(), Status> {
        match self.depth < MAX_DEPTH {
            true => Ok(()),
            false => Err(Status::invalid("too many builds that begin with each other")),
        }
    }

    /// A file of what a graph gives: it is built, and looked into.
    pub(super) fn graph_file(
        &self,
        session: &BuildSession<'_>,
        graph: &Definition,
        path: &str,
    ) -> Result<Vec<u8>, Status> {
        self.check_depth()?;
        let asked = Asked {
            definition: Some(Arc::new(graph.clone())),
            exporters: Vec::new(),
            exports: Vec::new(),
            ..self.asked.clone()
        };
        let mut own = Work::new(self.app, &asked, self.watch)?;
        own.depth = self.depth + 1;
        own.prepare(session, |input, request| {
            let look = |root: &OwnedFd| -> Result<Vec<u8>, Status> {
                let failed = |error| Status::invalid(format!("open {path}: {error}"));
                let file = sys::fs::file_in_root(root, path.trim_start_matches('/'));
                let mut bytes = Vec::new();
                let file = file.map_err(failed)?;
                file.take(MAX_GRAPH_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
                match bytes.len() as u64 > MAX_GRAPH_BYTES {
                    true => Err(Status::invalid(format!("{path} is too large for a graph"))),
                    false => Ok(bytes),
                }
            };
            let seen = session.look(input, &request, look);
            seen.map_err(|failure| failed(&failure))?
        })
    }

    /// `input:KEY` as a context.
    pub(super) fn input_context(
        &self,
        session: &BuildSession<'_>,
        key: &str,
    ) -> Result<String, Status> {
        let graph = self.asked.inputs.get(key);
        let graph = graph
            .ok_or_else(|| Status::invalid(format!("invalid input {key:?}: there is none")))?;
        self.input(session, format!("input-{key}"), graph, self.asked.input_config(key)?)
    }
}

impl Asked {
    /// The configuration of the image that an input is, if the client says one.
    fn input_config(&self, key: &str) -> Result<Option<Vec<u8>>, Status> {
        let Some(text) = self.text(&format!("input-metadata:{key}")) else { return Ok(None) };
        let wrong = |why: String| Status::invalid(format!("input-metadata:{key}: {why}"));
        let known: std::collections::HashMap<String, String> =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let config = known.get(CONFIG).map(|encoded| STANDARD.decode(encoded));
        config.transpose().map_err(|error| wrong(error.to_string()))
    }
}
