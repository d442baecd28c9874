//! The ways out of a build: into the store, or to the client, as a stream, a folder, a layout.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::thread::{Scope, ScopedJoinHandle};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{
    ArchiveForm, Blamed, BuildFailure, BuildInput, BuildRequest, BuildSession, Built, FilesTarget,
    Output, SaveTarget, SentFolder,
};
use serde_json::json;

use super::asked;
use super::build::{Facts, Work};
use super::messages::control::Exporter;
use super::send;
use crate::refusal::chain;
use crate::wire::{Code, Detail, Status};

impl Work<'_> {
    /// Has the engine build, with its ways out attached to the client.
    pub(super) fn carry_out(
        &self,
        session: &BuildSession<'_>,
        input: BuildInput<'_>,
        mut request: BuildRequest,
    ) -> Result<Facts, Status> {
        let mut names = Vec::new();
        for exporter in &self.asked.exporters {
            // As the client wrote them.
            names.extend(exporter.attributes.get("name").filter(|name| !name.is_empty()).cloned());
        }
        let mut facts = Facts::new();
        if !names.is_empty() {
            facts.insert("image.name".to_owned(), names.join(","));
        }
        let known = facts.clone();
        let caches = self.make_caches(&mut request.cache_to)?;
        std::thread::scope(|scope| {
            let mut ways = Vec::new();
            for (number, exporter) in self.asked.exporters.iter().enumerate() {
                let (output, way) = self.way(scope, number, exporter, &known)?;
                request.outputs.push(output);
                ways.push((number, way));
            }
            let built = session.build(input, &request);
            // What is still open is closed: whoever reads it sees its end.
            drop(request);
            let mut sent = Ok(());
            for (number, way) in ways {
                sent = sent.and(self.end(way, number, &known, built.is_ok()));
            }
            let built = match built {
                Err(_) if self.watch.stopped() => return Err(Status::gone()),
                Err(failure) => sent.and(Err(failed(&failure)))?,
                Ok(built) => {
                    sent?;
                    built
                }
            };
            facts.extend(described(&built));
            self.give_caches(caches, &mut facts)?;
            Ok(facts)
        })
    }

    /// Has the engine build without a way out, and looks into what came of it.
    pub(super) fn look<T>(
        &self,
        look: impl FnOnce(&OwnedFd) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let session = self.engine.build_session(self.watch)?;
        self.prepare(&session, |input, request| match session.look(input, &request, look) {
            Ok(seen) => seen,
            Err(_) if self.watch.stopped() => Err(Status::gone()),
            Err(failure) => Err(failed(&failure)),
        })
    }

    /// Opens one way out.
    fn way<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        number: usize,
        exporter: &Exporter,
        facts: &'env Facts,
    ) -> Result<(Output, Way<'scope>), Status> {
        let (names, packing) = (asked::names(exporter)?, asked::packing(exporter)?);
        let stream = || -> Result<(File, Way<'scope>), Status> {
            let session = self.session()?.clone();
            let (reader, writer) = io::pipe()?;
            let sent = scope.spawn(move || session.send_stream(number, facts, reader));
            Ok((File::from(OwnedFd::from(writer)), Way::Stream(sent)))
        };
        let archive = |form: ArchiveForm, (file, way): (File, Way<'scope>)| {
            let target = SaveTarget::Stream(file);
            (Output::Archive { names: names.clone(), form, target, packing: packing.clone() }, way)
        };
        let split = asked::switch(exporter, "platform-split")?;
        let prefix = exporter.attributes.get("attestation-prefix").cloned().unwrap_or_default();
        Ok(match exporter.kind.as_str() {
            "image" | "moby" => {
                if asked::switch(exporter, "store")? == Some(false) {
                    let words = "store=false is not there: what is built is kept";
                    return Err(Status::unsupported(words));
                }
                let (push, naming) = (asked::push(exporter)?, asked::naming(exporter)?);
                (Output::Image { names, push, packing, naming }, Way::Own)
            }
            kind @ ("docker" | "oci") => {
                let form = if kind == "oci" { ArchiveForm::Oci } else { ArchiveForm::Docker };
                if asked::switch(exporter, "tar")? == Some(false) {
                    self.session()?;
                    let sent = self.engine.sent_folder(None)?;
                    let target = SaveTarget::Layout(sent.files());
                    return Ok((
                        Output::Archive { names, form, target, packing },
                        Way::Layout(sent),
                    ));
                }
                archive(form, stream()?)
            }
            "tar" => {
                let (file, way) = stream()?;
                (Output::Files { target: FilesTarget::Stream(file), split, prefix }, way)
            }
            "local" => {
                self.session()?;
                let sent = self.engine.sent_folder(None)?;
                let target = FilesTarget::Folder(sent.files());
                (Output::Files { target, split, prefix }, Way::Folder(sent))
            }
            other => {
                let words = format!("exporter {other:?} could not be found");
                return Err(Status::unsupported(words));
            }
        })
    }

    /// Ends a way out: what lies here goes to the client.
    fn end(
        &self,
        way: Way<'_>,
        number: usize,
        facts: &Facts,
        is_built: bool,
    ) -> Result<(), Status> {
        match way {
            Way::Stream(sent) => {
                sent.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
            Way::Folder(sent) if is_built => self.watch.step("copying files", |_| {
                send::send(self.session()?.send(number, facts)?, &sent.files())
            }),
            Way::Layout(sent) if is_built => {
                self.watch.step("copying blobs", |_| self.give_layout(&sent.files()))
            }
            Way::Folder(_) | Way::Layout(_) | Way::Own => Ok(()),
        }
    }
}

/// Where a result goes besides where the engine puts it.
enum Way<'scope> {
    /// Nowhere.
    Own,
    /// To the client, while it is written.
    Stream(ScopedJoinHandle<'scope, Result<(), Status>>),
    /// To the client, when it is whole.
    Folder(SentFolder),
    /// Into the client's own layout, when it is whole.
    Layout(SentFolder),
}

/// What is told of what was built.
fn described(built: &Built) -> Facts {
    let mut facts = Facts::new();
    if !built.is_image {
        return facts;
    }
    if let Some(image) = built.images.first() {
        facts.insert("containerimage.config.digest".to_owned(), image.id.to_string());
        facts.insert("containerimage.digest".to_owned(), image.id.to_string());
    }
    if let Some(document) = &built.document {
        facts.insert("containerimage.digest".to_owned(), document.digest.to_string());
        if let Ok(text) = serde_json::to_vec(document) {
            facts.insert("containerimage.descriptor".to_owned(), STANDARD.encode(text));
        }
    }
    facts
}

pub(super) fn failed(failure: &BuildFailure) -> Status {
    let details = failure.blamed.as_ref().and_then(source).into_iter().collect();
    Status { details, ..Status::new(Code::Unknown, chain(&failure.error)) }
}

/// No Dockerfile that is longer goes with an error: trailers have their limits.
const MAX_SOURCE_BYTES: usize = 64 << 10;

/// Lines that are to blame, as clients show them.
fn source(blamed: &Blamed) -> Option<Detail> {
    let Blamed { file, text, lines } = blamed;
    if text.len() > MAX_SOURCE_BYTES {
        return None;
    }
    let info = json!({ "filename": file, "data": STANDARD.encode(text), "language": "Dockerfile" });
    let range = json!({ "start": { "line": lines.0 }, "end": { "line": lines.1 } });
    let value = json!({ "info": info, "ranges": [range] }).to_string().into_bytes();
    Some(Detail { kind: "github.com/moby/buildkit/errdefs.Source+json".to_owned(), value })
}
